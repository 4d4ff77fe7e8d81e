// What a page does beyond a form: refreshes itself, shows an upload's progress, fades a heatmap.
"use strict";

const strengths = new Map();

function fade(fader) {
  const key = fader.dataset.fader;
  strengths.set(key, fader.value);
  for (const layer of document.querySelectorAll("[data-fade]")) {
    if (layer.dataset.fade === key) layer.style.opacity = fader.value / 100;
  }
}

function prepare(part) {
  for (const label of part.querySelectorAll(".fader")) label.hidden = false;
  for (const fader of part.querySelectorAll("[data-fader]")) {
    if (strengths.has(fader.dataset.fader)) fader.value = strengths.get(fader.dataset.fader);
    fader.addEventListener("input", () => fade(fader));
    fade(fader);
  }
}

function refresh(part) {
  const silence = document.querySelector("[data-silence]");
  const again = () => setTimeout(look, 1000 * part.dataset.every);
  async function look() {
    // who reads, selects or types here is not disturbed
    const busy = document.hidden || part.contains(document.activeElement) || String(getSelection());
    if (busy) return again();
    try {
      const answer = await fetch(part.dataset.live, { headers: { Accept: "text/html" } });
      silence.hidden = answer.ok;
      if (answer.ok) {
        const unfolded = [...part.querySelectorAll("details[open]")].map(({ id }) => id);
        part.innerHTML = await answer.text();
        for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
        prepare(part);
        if (answer.headers.get("X-Ended") === "1") return;
      } else if (answer.status !== 503) return location.reload();
    } catch {
      silence.hidden = false; // the next look tries again
    }
    again();
  }
  again();
}

function upload(form) {
  const input = form.querySelector("input[type=file]");
  const sending = form.querySelector(".sending");
  const words = form.querySelector("[data-sending-words]");
  const bar = form.querySelector("progress");
  const problem = form.querySelector(".problem");
  form.querySelector("[data-no-script]").hidden = true;

  function fail(text) {
    problem.textContent = text.charAt(0).toUpperCase() + text.slice(1);
    problem.hidden = false;
    sending.hidden = true;
    input.disabled = false;
    input.value = "";
  }

  function show(files) {
    const shown = form.querySelector(".chosen-files");
    shown.replaceChildren();
    for (const file of files) {
      if (!/^image\/(png|jpeg)$/.test(file.type)) continue;
      const picture = document.createElement("img");
      picture.alt = file.name;
      picture.src = URL.createObjectURL(file);
      picture.addEventListener("load", () => URL.revokeObjectURL(picture.src));
      shown.append(picture);
    }
  }

  function send() {
    const size = [...input.files].reduce((sum, file) => sum + file.size, 0);
    problem.hidden = true;
    if (!input.files.length) return;
    if (size > form.dataset.most * 1e6) return fail(`These are more than ${form.dataset.most} MB: choose fewer or smaller files.`);
    show(input.files);
    sending.hidden = false;
    words.textContent = input.files.length === 1 ? `Sending ${input.files[0].name}` : `Sending ${input.files.length} files`;
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) bar.value = (100 * event.loaded) / event.total;
    });
    request.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(request.responseText); } catch { answer = { problem: request.responseText }; }
      if (request.status === 201) location.assign(answer.address);
      else fail(answer.problem || `The upload failed (${request.status}).`);
    });
    request.addEventListener("error", () => fail("The console does not answer: try again."));
    request.send(new FormData(form));
    input.disabled = true;
  }

  input.addEventListener("change", send);
  for (const kind of ["dragenter", "dragover"]) form.addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) form.addEventListener(kind, () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => { event.preventDefault(); input.files = event.dataTransfer.files; send(); });
  addEventListener("pageshow", () => { input.disabled = false; sending.hidden = true; });
}

prepare(document);
for (const part of document.querySelectorAll("[data-live]")) refresh(part);
for (const form of document.querySelectorAll("[data-upload]")) upload(form);
