"""The pages below /ui/: server-rendered over the services that the JSON routes use; scripts add to them."""
