// On every page: theme, copy buttons, dialogs, times, code tabs.
import "./lib/dialog.js";
import { startClipboard } from "./lib/clipboard.js";
import { startCodeTabs, startTimes } from "./lib/dom.js";
import { startTheme } from "./lib/theme.js";

startTheme();
startClipboard();
startCodeTabs();
startTimes();

// On a phone the current tab may be beside the window. Not by `scrollIntoView`: the Tab key would begin there.
for (const current of document.querySelectorAll(".tabs > [aria-current]")) {
  const tabs = current.parentElement;
  tabs.scrollLeft = current.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - current.offsetWidth) / 2;
}
