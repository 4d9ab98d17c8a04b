-- A database for the tables of MLflow.
CREATE DATABASE mlflow;
