// What the screens share: words for people, bars of probabilities, the level meter, and questions to the server.

const NAMES = { _silence_: "silence", _unknown_: "other word" };

export const named = (word) => NAMES[word] ?? word;
export const percent = (share) => `${(100 * share).toFixed(share >= 0.9995 ? 0 : 1)} %`;
export const element = (id) => document.getElementById(id);

export function tell(place, sentence) {
  place.hidden = !sentence;
  if (place.textContent !== (sentence ?? "")) place.textContent = sentence ?? "";
}

function part(tag, name, text) {
  const found = document.createElement(tag);
  found.className = name;
  found.textContent = text;
  return found;
}

// Shows classes with their probabilities as bars; rows that are there are used again, since this runs 25 times a second.
export function showGuesses(list, guesses, thresholds) {
  while (list.children.length > guesses.length) list.lastChild.remove();
  guesses.forEach(({ word, probability }, n) => {
    const row = list.children[n] ?? list.appendChild(newGuess());
    const [name, bar, share] = row.children;
    const [fill, tick] = bar.children;
    const threshold = thresholds[word];
    row.className = probability >= threshold ? "passing" : "";
    name.textContent = named(word);
    fill.style.width = `${100 * probability}%`;
    tick.hidden = threshold === undefined;
    tick.style.left = `${100 * (threshold ?? 0)}%`;
    share.textContent = percent(probability);
  });
}

// Three rows without a class.
export function showNoGuesses(list) {
  showGuesses(list, [0, 0, 0].map((probability) => ({ word: "–", probability })), {});
  for (const row of list.children) row.lastChild.textContent = "";
}

function newGuess() {
  const row = document.createElement("li");
  const bar = part("span", "bar", "");
  bar.append(part("span", "fill", ""), part("span", "tick", ""));
  bar.setAttribute("aria-hidden", "true"); // the number beside it says the same
  row.append(part("span", "name", ""), bar, part("span", "share", ""));
  return row;
}

export function newEvent(word, at, score) {
  const row = document.createElement("li");
  row.append(part("span", "name", named(word)), part("span", "at", at), part("span", "share", percent(score)));
  return row;
}

const QUIETEST_DB = -60;

export class Level {
  constructor(meter) {
    this.meter = meter;
    this.bar = meter.querySelector("canvas");
    this.shown = QUIETEST_DB;
  }

  // Shows a level in dB of full scale: it rises at once and falls slowly.
  show(decibels) {
    this.shown = Math.max(decibels, this.shown - 1.5, QUIETEST_DB);
    this.draw();
    this.meter.setAttribute("aria-valuenow", this.shown.toFixed(0));
    this.meter.setAttribute("aria-valuetext", `${this.shown.toFixed(0)} decibels`);
  }

  off() {
    this.shown = QUIETEST_DB;
    this.draw();
    this.meter.setAttribute("aria-valuenow", QUIETEST_DB);
    this.meter.setAttribute("aria-valuetext", "off");
  }

  draw() {
    const context = this.bar.getContext("2d");
    const style = getComputedStyle(this.bar);
    const { width, height } = this.bar;
    context.clearRect(0, 0, width, height);
    context.fillStyle = style.getPropertyValue(this.shown > -3 ? "--high" : "--accent");
    context.fillRect(0, 0, (width * (this.shown - QUIETEST_DB)) / -QUIETEST_DB, height);
  }
}

// JSON from the server; what goes wrong becomes an Error with a sentence.
export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server is gone.");
  }
  const content = await response.json().catch(() => ({ error: "The server's answer can't be read." }));
  if (!response.ok) throw new Error(content.error);
  return content;
}
