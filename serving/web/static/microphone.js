// The microphone as blocks of 16-bit samples at 16 kHz, or a sentence that says why there is none.

export const RATE_HZ = 16000;

export class Trouble extends Error {}

const SENTENCES = {
  NotAllowedError: "The browser may not use the microphone: allow it for this page, beside the address, and press the button again.",
  NotFoundError: "No microphone was found: plug one in and press the button again.",
  NotReadableError: "The microphone can't be opened: another program may be using it.",
  OverconstrainedError: "No microphone fits: plug in another one and press the button again.",
};

const CONSTRAINTS = {
  channelCount: { ideal: 1 },
  echoCancellation: false,
  noiseSuppression: false,
  autoGainControl: false,
};

export class Microphone {
  // `onBlock` gets an Int16Array of 640 samples every 40 ms, `onEnd` is called when the device goes away.
  static async open(onBlock, onEnd) {
    const stream = await permitted();
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule("/static/worklet.js");
      await context.resume();
      const node = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0 });
      node.port.onmessage = (event) => onBlock(event.data);
      context.createMediaStreamSource(stream).connect(node);
    } catch (error) {
      stop(stream);
      context.close();
      throw new Trouble(`The browser can't process sound on this page: ${error.message}.`);
    }
    const [track] = stream.getAudioTracks();
    track.onended = onEnd;
    return new Microphone(stream, context, track.label);
  }

  constructor(stream, context, label) {
    this.stream = stream;
    this.context = context;
    this.label = label;
  }

  close() {
    for (const track of this.stream.getTracks()) track.onended = null;
    stop(this.stream);
    this.context.close();
  }
}

async function permitted() {
  if (!window.isSecureContext) {
    throw new Trouble("Browsers give the microphone to secure pages only: open this page as http://localhost on the server's own machine, or over https.");
  }
  if (!navigator.mediaDevices?.getUserMedia) throw new Trouble("This browser gives pages no microphone: use a newer one.");
  if (!window.AudioWorkletNode) throw new Trouble("This browser has no AudioWorklet, which the page needs to process sound: use a newer one.");
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: CONSTRAINTS });
  } catch (error) {
    throw new Trouble(SENTENCES[error.name] ?? `The microphone can't be used: ${error.message}.`);
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

// The level of a block in dB of full scale, at least -90.
export function levelDb(block) {
  const energy = block.reduce((sum, each) => sum + each * each, 0) / block.length;
  return Math.max(-90, 10 * Math.log10(Math.max(energy, 1e-9) / 32768 ** 2));
}

// Samples as a WAV file.
export function toWav(samples) {
  const bytes = new ArrayBuffer(44 + 2 * samples.length);
  const view = new DataView(bytes);
  const text = (place, letters) => [...letters].forEach((each, n) => view.setUint8(place + n, each.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE_HZ, true);
  view.setUint32(28, 2 * RATE_HZ, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((each, n) => view.setInt16(44 + 2 * n, each, true));
  return new Blob([bytes], { type: "audio/wav" });
}

// Collects samples from now on; `take(block)` says whether they are enough.
export class Take {
  constructor(seconds) {
    this.samples = new Int16Array(seconds * RATE_HZ);
    this.filled = 0;
  }

  take(block) {
    const part = block.subarray(0, this.samples.length - this.filled);
    this.samples.set(part, this.filled);
    this.filled += part.length;
    return this.filled === this.samples.length;
  }
}
