// On every page: theme, copy buttons, times, code tabs.
import { startClipboard } from "./lib/clipboard.js";
import { startCodeTabs, startTimes } from "./lib/dom.js";
import { startTheme } from "./lib/theme.js";

startTheme();
startClipboard();
startCodeTabs();
startTimes();
