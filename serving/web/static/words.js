// The second screen: records takes of new words, plays and deletes them, and lets the model learn them.

import { levelDb, Microphone, Take } from "./microphone.js";
import { ask, element, Level, percent, tell } from "./show.js";

const COUNTDOWN = ["3", "2", "1"];
const COUNT_MS = 600;
const PAUSE_MS = 700; // between two takes
const QUIETEST_DB = -45; // of the loudest fifth of a second
const CLIPPED_SAMPLES = 8;
const ASK_AGAIN_MS = 1000;

const level = new Level(element("level"));
let content = { words: [], fewest: 0, enough: 0, teaching: { state: "idle" } };
let running = false;
let take = null;
let finished = null;
let refreshing = null;

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const place = (word, number) => `/v1/words/${encodeURIComponent(word)}/takes/${number}`;
const takesOf = (word) => content.words.find((each) => each.word === word)?.takes ?? [];
const wordNow = () => element("word-name").value.trim().toLowerCase();

// Recording

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) running = false;
  else record(wordNow());
});

function onBlock(block) {
  level.show(levelDb(block));
  if (take?.take(block)) {
    const { samples } = take;
    take = null;
    finished(samples);
  }
}

function cue(text, isWord) {
  element("cue").textContent = text;
  element("cue").classList.toggle("waiting", !isWord);
}

async function record(word) {
  running = true;
  tell(element("problem"), null);
  let microphone = null;
  try {
    microphone = await Microphone.open(onBlock, () => {
      running = false;
      tell(element("problem"), "The microphone is gone: plug it in and press the button again.");
    });
    element("record").textContent = "Stop";
    element("record").setAttribute("aria-pressed", "true");
    for (const count of COUNTDOWN) {
      if (!running) break;
      cue(count, true);
      await wait(COUNT_MS);
    }
    while (running && takesOf(word).length < content.enough) await recordOne(word);
  } catch (error) {
    tell(element("problem"), error.message);
  }
  microphone?.close();
  running = false;
  level.off();
  element("record").textContent = "Record";
  element("record").setAttribute("aria-pressed", "false");
  const enough = takesOf(word).length >= content.enough;
  cue(enough ? `${word}: enough takes` : word ? "Stopped" : "Enter a word", false);
}

async function recordOne(word) {
  cue(word, true);
  const samples = await new Promise((resolve) => {
    finished = resolve;
    take = new Take(1);
  });
  cue("…", true);
  const fault = faultOf(samples);
  tell(element("problem"), fault);
  if (!fault) show(await ask(`/v1/words/${encodeURIComponent(word)}/takes`, { method: "POST", body: samples }));
  await wait(PAUSE_MS);
}

// What is wrong with the level of a take, or null.
function faultOf(samples) {
  const pieces = [0, 1, 2, 3, 4].map((n) => samples.subarray(n * 3200, (n + 1) * 3200));
  if (Math.max(...pieces.map(levelDb)) < QUIETEST_DB) return "That was too quiet and is not kept: speak louder, or come nearer.";
  const clipped = samples.filter((each) => each === 32767 || each === -32768).length;
  if (clipped >= CLIPPED_SAMPLES) return "That was too loud and is not kept: speak softer, or move away a little.";
  return null;
}

element("word-name").addEventListener("input", () => {
  if (!running) cue(wordNow() ? `Press Record and say “${wordNow()}”` : "Enter a word", false);
  showCount();
});

function showCount() {
  const word = wordNow();
  tell(element("count"), word ? `${takesOf(word).length} of ${content.enough} takes of “${word}”.` : "");
}

// Takes

function show(found) {
  content = found;
  element("no-words").hidden = content.words.length > 0;
  const focused = document.activeElement?.dataset?.focus;
  element("words").replaceChildren(...content.words.map(wordShown));
  if (focused) document.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  tell(element("teach-hint"), `Twenty takes of each word are good, ${content.fewest} are the least.`);
  showCount();
  showTeaching(content.teaching);
}

function wordShown({ word, takes }) {
  const group = document.createElement("section");
  const title = document.createElement("h3");
  const count = document.createElement("span");
  count.textContent = takes.length === 1 ? "1 take" : `${takes.length} takes`;
  title.append(word, count);
  const list = document.createElement("ol");
  list.append(...takes.map((number) => takeShown(word, number)));
  group.append(title, list);
  return group;
}

function takeShown(word, number) {
  const row = document.createElement("li");
  const play = button("play", `▶ ${number}`, `Play take ${number} of ${word}`, () => new Audio(place(word, number)).play());
  const remove = button("delete", "✕", `Delete take ${number} of ${word}`, async () => {
    try {
      show(await ask(place(word, number), { method: "DELETE" }));
    } catch (error) {
      tell(element("problem"), error.message);
    }
  });
  row.append(play, remove);
  return row;
}

function button(name, text, label, press) {
  const found = document.createElement("button");
  found.type = "button";
  found.className = name;
  found.textContent = text;
  found.setAttribute("aria-label", label);
  found.dataset.focus = label;
  found.addEventListener("click", press);
  return found;
}

// Teaching

element("teach").addEventListener("click", async () => {
  tell(element("teach-problem"), null);
  try {
    show(await ask("/v1/teach", { method: "POST" }));
  } catch (error) {
    tell(element("teach-problem"), error.message);
  }
});

function showTeaching({ state, step = 0, steps = 1, label, error, taught, seconds }) {
  const isRunning = state === "running";
  element("progress").hidden = !isRunning;
  element("progress").value = step / (steps + 1);
  tell(element("teach-problem"), state === "failed" ? error : null);
  element("figures").replaceChildren(...(state === "done" ? figures(taught) : []));
  if (isRunning) tell(element("teach-state"), `${label ?? "Starting"}: step ${step} of ${steps}.`);
  else if (state === "done") tell(element("teach-state"), `Done in ${Math.round(seconds)} seconds. The first screen listens for ${taught.words.join(", ")} now.`);
  else tell(element("teach-state"), "");
  clearTimeout(refreshing);
  if (isRunning) refreshing = setTimeout(refresh, ASK_AGAIN_MS);
}

function figures({ figures: rows }) {
  const names = { old: "Known words", new: "New words" };
  return rows.filter(({ words }) => words in names).flatMap(({ model, words, correct, clips, low, high }) => {
    const [term, value] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = `${names[words]}, ${model}`;
    value.textContent = `${correct} of ${clips} test clips (95 % interval ${percent(low)} to ${percent(high)})`;
    return [term, value];
  });
}

async function refresh() {
  try {
    show(await ask("/v1/words"));
  } catch (error) {
    tell(element("teach-problem"), error.message);
    if (content.teaching.state === "running") refreshing = setTimeout(refresh, ASK_AGAIN_MS);
  }
}

refresh();
