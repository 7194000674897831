// A stream of samples to the server, which is opened again when the server goes and comes back.

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const WARNING_MS = 4000;
const MOST_WAITING_BYTES = 64000; // two seconds

export class Stream {
  // Handlers: ready(content), step(content, rows), state(sentence), problem(sentence or null).
  constructor(handlers) {
    this.handlers = handlers;
    this.wait = FIRST_WAIT_MS;
    this.open = true;
    this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.refused = null;
    this.isReady = false;
    this.socket = new WebSocket(`${scheme}://${location.host}/v1/listen`);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.receive(event.data);
    this.socket.onclose = () => this.lost();
  }

  receive(data) {
    if (typeof data !== "string") {
      this.handlers.step(this.step, new Float32Array(data));
      return;
    }
    const content = JSON.parse(data);
    if (content.type === "ready") {
      this.isReady = true;
      this.wait = FIRST_WAIT_MS;
      this.handlers.problem(null);
      this.handlers.ready(content);
    } else if (content.type === "late") {
      this.warn("The server is slow: some sound is left out.");
    } else if (content.type === "refused") {
      this.refused = content.error;
    } else {
      this.step = content;
    }
  }

  lost() {
    if (!this.open) return;
    this.isReady = false;
    const seconds = (this.wait / 1000).toFixed(this.wait < 1000 ? 1 : 0);
    const why = this.refused ?? "The server is gone.";
    this.handlers.problem(`${why} The page tries again in ${seconds} s.`);
    this.handlers.lost();
    this.timer = setTimeout(() => this.connect(), this.wait);
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  send(block) {
    if (!this.isReady || this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_WAITING_BYTES) {
      this.warn("The connection is slow: some sound is left out.");
      return;
    }
    this.socket.send(block);
  }

  // Says something for a while.
  warn(sentence) {
    this.handlers.problem(sentence);
    clearTimeout(this.warning);
    this.warning = setTimeout(() => this.isReady && this.handlers.problem(null), WARNING_MS);
  }

  close() {
    this.open = false;
    clearTimeout(this.timer);
    clearTimeout(this.warning);
    this.socket.close();
  }
}
