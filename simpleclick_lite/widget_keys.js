// Catches the keys of the click tool: see widget_events.py for what they mean.
const NATIVE = ["Enter", " ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"];
const TEXT = "input:not([type=checkbox]):not([type=radio]), textarea, [contenteditable=true]";
const CONTROL = "button, select, a, summary, [role=slider], input";

function attach(root, model, signal) {
  const keys = new Set(model.get("shortcuts"));
  const within = (e, selector) => e.target.closest && e.target.closest(selector);
  const send = (e, key) => {
    model.send({ key, shift: e.shiftKey });
    e.preventDefault();
    e.stopPropagation();
  };
  root.tabIndex = 0;
  root.addEventListener("keydown", e => {
    if (within(e, TEXT)) return;
    if (e.ctrlKey || e.metaKey || e.altKey) {
      const letter = e.key.toLowerCase();
      if (!e.altKey && letter === "z") send(e, e.shiftKey ? "Redo" : "Undo");
      else if (!e.altKey && letter === "y") send(e, "Redo");
      return; // every other one is the browser's or JupyterLab's
    }
    const native = within(e, CONTROL) && NATIVE.includes(e.key);
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    if (!native && keys.has(key)) send(e, key);
    else if (native || e.key.length === 1) e.stopPropagation(); // not for the command mode
  }, { signal });
  // ipycanvas swallows every key of a focused canvas, so the tool takes the focus itself
  root.addEventListener("focusin", e => {
    if (e.target.tagName !== "CANVAS") return;
    e.target.tabIndex = -1;
    root.focus({ preventScroll: true });
  }, { signal });
  // ipycanvas reports every move of the mouse, and a click would have to wait for them all
  root.addEventListener("mousemove", e => {
    if (e.target.tagName === "CANVAS" && !e.buttons) e.stopImmediatePropagation();
  }, { signal, capture: true });
}

function render({ model, el }) {
  const ending = new AbortController();
  el.style.display = "none";
  const find = () => {
    const root = el.closest(".click-tool");
    if (root) attach(root, model, ending.signal);
    else if (!ending.signal.aborted) requestAnimationFrame(find);
  };
  find();
  return () => ending.abort();
}

export default { render };
