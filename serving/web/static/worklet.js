// Runs beside the page, in the browser's audio thread: one channel at 16 kHz, in blocks of 40 ms.

import { Resampler, toInt16 } from "./resampler.js";

const RATE_HZ = 16000;
const BLOCK_SAMPLES = 640;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(Math.round(sampleRate), RATE_HZ);
    this.block = new Float32Array(BLOCK_SAMPLES);
    this.filled = 0;
  }

  process([channels]) {
    if (channels.length === 0) return true;
    for (const sample of this.resampler.process(mixed(channels))) {
      this.block[this.filled] = sample;
      this.filled += 1;
      if (this.filled === BLOCK_SAMPLES) {
        const samples = toInt16(this.block);
        this.port.postMessage(samples, [samples.buffer]);
        this.filled = 0;
      }
    }
    return true;
  }
}

function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, place) => channels.reduce((sum, each) => sum + each[place], 0) / channels.length);
}

registerProcessor("capture", Capture);
