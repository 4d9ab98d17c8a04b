// Notes what can be reached, in the order of the document, and then what gets the focus. Of radio buttons of a name the
// Tab key reaches one. A control that is cut to a pixel is the label's, which has the ring.
() => {
  const kinds = "a[href], button, input, select, textarea, summary, audio[controls], video[controls], [tabindex], [contenteditable]";
  const isOne = (each) => {
    if (each.type !== "radio") return true;
    const group = [...document.getElementsByName(each.name)].filter((other) => other.form === each.form);
    return each === (group.find((other) => other.checked) ?? group[0]);
  };
  // In the editor, the focus of a box draws all anew; each box is a button of the list as well.
  const isDrawn = (each) => each.matches(".edits .box-group");
  const isThere = (each) => each.checkVisibility({ visibilityProperty: true }) && !each.closest("[inert]");
  const root = document.querySelector("dialog:modal") ?? document;
  const expected = [...root.querySelectorAll(kinds)].filter(
    (each) => each.tabIndex >= 0 && !each.matches(":disabled") && each.type !== "hidden" && isThere(each) && isOne(each) && !isDrawn(each),
  );
  const words = (each) =>
    `${each.tagName.toLowerCase()}#${each.id}.${each.className} "${(each.getAttribute("aria-label") ?? each.textContent ?? "").trim().slice(0, 40)}"`;
  const isOutlined = (style) => (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== "none";
  const ring = (each) =>
    isOutlined(getComputedStyle(each)) ||
    isOutlined(getComputedStyle(each, "::after")) || // of a link that is as large as its card
    (each instanceof SVGElement && [each, ...each.children].some((part) => parseFloat(getComputedStyle(part).strokeWidth) >= 4));
  const isSeen = (each) => {
    for (const animation of each.getAnimations()) animation.finish();
    const box = each.getBoundingClientRect();
    if (box.width > 2 && box.height > 2) return ring(each) && box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
    const label = each.closest("label") ?? each.labels?.[0];
    return Boolean(label) && ring(label);
  };
  const visited = [];
  document.addEventListener("focusin", ({ target }) => visited.push({ at: expected.indexOf(target), name: words(target), seen: isSeen(target), element: target }));
  const isFree = document.activeElement === document.body; // nothing has been given the focus
  document.activeElement?.blur();
  window.walked = () => {
    const reached = new Set(visited.map((each) => each.element));
    const steps = visited.filter((each) => each.at >= 0);
    const again = steps.findIndex((each, index) => index > 0 && each.at === steps[0].at);
    const round = steps.slice(0, again < 0 ? undefined : again);
    const back = round.filter((each, index) => index > 0 && each.at < round[index - 1].at);
    const turned = back[steps[0]?.at > 0 ? 1 : 0]; // of a walk that begins in the middle the first is the beginning
    return {
      expected: expected.length,
      steps: visited.length,
      missed: expected.filter((each) => !reached.has(each) && each.isConnected).map(words),
      unseen: visited.filter((each) => !each.seen).map((each) => each.name),
      begins: isFree && root === document && visited[0]?.at !== 0 ? visited[0]?.name ?? "nowhere" : "",
      turned: turned?.name ?? "",
    };
  };
  window.isRound = () => visited.length > 1 && visited.at(-1).element === visited[0].element || document.activeElement === document.body;
  return expected.length;
}
