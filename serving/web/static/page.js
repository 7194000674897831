// The first screen: listens, shows what the model makes of it, and decodes single clips.

import { levelDb, Microphone, Take, toWav } from "./microphone.js";
import { Picture } from "./picture.js";
import { ask, element, Level, named, newEvent, percent, showGuesses, showNoGuesses, tell } from "./show.js";
import { Stream } from "./stream.js";

const WORD_MS = 1500; // a word is shown in full color for this time
const MOST_EVENTS = 100;

const level = new Level(element("level"));
const picture = new Picture(element("picture"));
let thresholds = {}; // of each word
let microphone = null;
let stream = null;
let take = null;
let fading = null;
let recording = null;
let starting = false; // a button is never disabled while it has the focus: it would lose it

async function openMicrophone() {
  microphone ??= await Microphone.open(onBlock, () => {
    tell(element("problem"), "The microphone is gone: plug it in and press the button again.");
    stop();
  });
}

function onBlock(block) {
  level.show(levelDb(block));
  stream?.send(block);
  if (take?.take(block)) {
    const finished = take;
    take = null;
    finish(finished.samples);
  }
}

function closeMicrophone() {
  if (stream || take) return;
  microphone?.close();
  microphone = null;
  level.off();
}

// Listening

element("listen").addEventListener("click", () => (stream ? stop() : start()));

async function start() {
  if (starting) return;
  starting = true;
  tell(element("problem"), null);
  tell(element("state"), "Waiting for the microphone.");
  try {
    await openMicrophone();
    stream = new Stream({ ready, step, lost, problem: (sentence) => tell(element("problem"), sentence) });
    element("listen").textContent = "Stop";
    element("listen").setAttribute("aria-pressed", "true");
  } catch (error) {
    tell(element("problem"), error.message);
    tell(element("state"), "The microphone is off.");
  }
  starting = false;
}

function stop() {
  stream?.close();
  stream = null;
  take = null;
  closeMicrophone();
  element("listen").textContent = "Listen";
  element("listen").setAttribute("aria-pressed", "false");
  showNoGuesses(element("best"));
  tell(element("state"), "The microphone is off.");
}

function ready(content) {
  thresholds = content.thresholds;
  picture.begin(content.picture);
  const { title, coefficients, row_ms: rowMs } = content.picture;
  const detail = coefficients > 1 ? `: ${coefficients} numbers every ${rowMs} ms` : "";
  tell(element("picture-caption"), `${title} of the last six seconds, as the model sees them${detail}.`);
  tell(element("state"), `Listening${microphone?.label ? ` to ${microphone.label}` : ""}.`);
}

function lost() {
  tell(element("state"), "The connection is lost.");
  showNoGuesses(element("best"));
}

function step({ top, heard, time_s: time }, rows) {
  picture.add(rows);
  showGuesses(element("best"), top, thresholds);
  if (heard) hear(heard, time);
}

function hear({ word, score }) {
  const shown = element("word");
  shown.textContent = named(word);
  shown.className = "word";
  clearTimeout(fading);
  fading = setTimeout(() => shown.classList.add("past"), WORD_MS);
  const list = element("heard");
  list.prepend(newEvent(word, new Date().toLocaleTimeString([], { hour12: false }), score));
  while (list.children.length > MOST_EVENTS) list.lastChild.remove();
  showEvents(true);
}

function showEvents(any) {
  element("heard").hidden = !any;
  element("clear").hidden = !any;
  element("none-heard").hidden = any;
}

element("clear").addEventListener("click", () => {
  element("heard").replaceChildren();
  showEvents(false);
  element("listen").focus();
});

// One clip

element("record").addEventListener("click", async () => {
  if (starting || take) return;
  starting = true;
  tell(element("clip-problem"), null);
  try {
    await openMicrophone();
    take = new Take(1);
    tell(element("clip-name"), "Recording: speak now.");
  } catch (error) {
    tell(element("clip-problem"), error.message);
  }
  starting = false;
});

async function finish(samples) {
  closeMicrophone();
  recording = toWav(samples);
  element("replay").disabled = false;
  await decode(recording, "Your recording");
}

element("replay").addEventListener("click", () => {
  const address = URL.createObjectURL(recording);
  const sound = new Audio(address);
  sound.onended = () => URL.revokeObjectURL(address);
  sound.play();
});

async function decode(file, name) {
  tell(element("clip-problem"), null);
  tell(element("clip-name"), `${name}: decoding.`);
  showGuesses(element("clip-best"), [], thresholds);
  element("clip-heard").hidden = true;
  try {
    const found = await ask("/v1/predict", { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    showClip(found, name);
  } catch (error) {
    tell(element("clip-name"), name);
    tell(element("clip-problem"), error.message);
  }
}

function showClip({ seconds, top, heard, thresholds: passing }, name) {
  const isLong = seconds > 1;
  const count = heard.length === 1 ? "1 word" : `${heard.length || "no"} words`;
  tell(element("clip-name"), `${name}, ${seconds.toFixed(2)} s${isLong ? `: ${count} heard.` : "."}`);
  if (isLong) {
    element("clip-heard").replaceChildren(...heard.map(({ word, time_s: at, score }) => newEvent(word, `${at.toFixed(2)} s`, score)));
    element("clip-heard").hidden = heard.length === 0;
  } else {
    showGuesses(element("clip-best"), top, passing);
  }
}

element("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) decode(file, file.name);
  event.target.value = "";
});

for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    const file = name === "drop" && event.dataTransfer.files[0];
    if (file) decode(file, file.name);
  });
}

// The model

async function showModel() {
  const model = await ask("/v1/model");
  thresholds = model.thresholds;
  showNoGuesses(element("best"));
  const words = model.classes.filter((each) => !each.startsWith("_"));
  const { share, low, high, clips } = model.accuracy;
  const [least, ...others] = Object.values(thresholds);
  const different = others.some((each) => each !== least);
  const facts = {
    Name: model.name,
    Words: words.join(", "),
    Accuracy: `${percent(share)} of ${clips.toLocaleString()} test clips (95 % interval ${percent(low)} to ${percent(high)})`,
    Features: `${model.view.title}, ${model.view.shape.join(" × ")}`,
    Threshold: different ? Object.entries(thresholds).map(([word, its]) => `${word} ${percent(its)}`).join(", ") : percent(least),
  };
  element("facts").replaceChildren(
    ...Object.entries(facts).flatMap(([name, value]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    }),
  );
  tell(element("summary"), `Say ${words.length > 12 ? `one of ${words.length} words` : words.join(", ")}.`);
  const { file_bytes: bytes, file_seconds: seconds } = model.limits;
  tell(element("formats"), `WAV, FLAC, Ogg, Opus or MP3, up to ${seconds} s and ${bytes / 1e6} MB`);
  element("screens").hidden = !model.recording;
}

showModel().catch((error) => tell(element("problem"), error.message));
