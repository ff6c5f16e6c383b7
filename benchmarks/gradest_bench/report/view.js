// What is seen of a page, kept in its address: "#results?filter.results=es&y.step-mlp=linear" can be sent to another.
"use strict";
const view = (() => {
  const parted = () => {
    const [anchor, query = ""] = location.hash.slice(1).split("?");
    return [anchor, new URLSearchParams(query)];
  };
  let [anchor, kept] = parted();
  const address = () => {
    const query = kept.toString();
    // not location.hash: each letter of a filter would be a step back in the history
    history.replaceState(null, "", "#" + anchor + (query ? "?" + query : ""));
  };
  const set = (key, value) => {
    if ((kept.get(key) ?? "") === value) return;
    if (value) kept.set(key, value);
    else kept.delete(key);
    address();
  };
  // an element in a part that is folded away cannot be gone to before that is opened
  const go = () => {
    const target = anchor && document.getElementById(decodeURIComponent(anchor));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", () => {
    const [next, asked] = parted();
    anchor = next;
    // a link of this page names a place and no view; an address that was pasted over this one names both
    if ([...asked].length && asked.toString() !== kept.toString()) location.reload();
    else { address(); go(); }
  });
  addEventListener("load", go);
  return { get: (key) => kept.get(key) ?? "", set };
})();
