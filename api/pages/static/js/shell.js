// On every page: theme, copy buttons, dialogs, times, code tabs.
import "./lib/dialog.js";
import { startClipboard } from "./lib/clipboard.js";
import { startCodeTabs, startTimes } from "./lib/dom.js";
import { startTheme } from "./lib/theme.js";

startTheme();
startClipboard();
startCodeTabs();
startTimes();
