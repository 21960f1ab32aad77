// A button that sends files in pieces: see widget_files.py.
const PIECE = 2 ** 21; // bytes; Jupyter's server drops the connection at messages of 10 MB

async function sendFiles(model, files, progress) {
  let answered = () => {};
  const hear = () => answered();
  const send = (content, buffers) => new Promise(resolve => {
    answered = resolve;
    model.send(content, undefined, buffers);
  });
  model.on("msg:custom", hear);
  const total = Math.max(files.reduce((sum, file) => sum + file.size, 0), 1);
  let sent = 0;
  try {
    for (const file of files) {
      await send({ name: file.name });
      for (let start = 0; start < file.size; start += PIECE) {
        const piece = await file.slice(start, start + PIECE).arrayBuffer();
        await send({}, [piece]);
        sent += piece.byteLength;
        progress(sent / total);
      }
    }
    await send({ done: true });
  } finally {
    model.off("msg:custom", hear);
  }
}

function render({ model, el }) {
  const button = document.createElement("button");
  const input = document.createElement("input");
  const say = text => { button.textContent = text; };
  button.className = "lm-Widget jupyter-widgets jupyter-button widget-button";
  button.title = model.get("tip");
  say(model.get("text"));
  Object.assign(input, {
    type: "file", accept: model.get("accept"), multiple: model.get("multiple"), hidden: true,
  });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const files = [...input.files];
    input.value = ""; // the same file can be chosen again
    if (!files.length) return;
    button.disabled = true;
    try {
      await sendFiles(model, files, part => say(`${Math.round(100 * part)} % sent`));
    } finally {
      button.disabled = false;
      say(model.get("text"));
    }
  });
  el.append(button, input);
}

export default { render };
