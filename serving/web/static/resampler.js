// Changes the rate of an endless signal by a windowed-sinc filter in polyphase form, with state between blocks.

const ATTENUATION_DB = 80; // of what would come back as another frequency
const TRANSITION = 0.1; // width of the filter's edge, as a share of its cutoff
const KAISER_BETA = 0.1102 * (ATTENUATION_DB - 8.7);

function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}

// The modified Bessel function of the first kind and order zero, by its series.
function bessel0(x) {
  let sum = 1;
  let term = 1;
  for (let k = 1; term > 1e-12 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

// The filter at `up` times the input's rate: a sinc in a Kaiser window, with a gain of one at zero frequency for each
// phase. Its cutoff is half of the lower rate, so that only the upper twentieth of the band is touched by aliases.
export function filter(up, down) {
  const cutoff = 1 / Math.max(up, down); // of half the raised rate
  const width = TRANSITION * cutoff * Math.PI;
  const half = Math.ceil((ATTENUATION_DB - 8) / (2.285 * width) / 2);
  const taps = new Float64Array(2 * half + 1);
  for (let n = -half; n <= half; n += 1) {
    const x = Math.PI * cutoff * n;
    const sinc = n === 0 ? 1 : Math.sin(x) / x;
    taps[n + half] = sinc * bessel0(KAISER_BETA * Math.sqrt(1 - (n / half) ** 2));
  }
  const sum = taps.reduce((total, each) => total + each, 0);
  return taps.map((each) => (each * up) / sum);
}

export class Resampler {
  // Rates in Hz, whole numbers.
  constructor(fromHz, toHz) {
    const common = gcd(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    const taps = this.up === this.down ? Float64Array.of(1) : filter(this.up, this.down);
    this.length = Math.ceil(taps.length / this.up); // input samples that one output sample sees
    this.phases = Array.from({ length: this.up }, (_, phase) =>
      Float64Array.from({ length: this.length }, (_, n) => taps[phase + n * this.up] ?? 0),
    );
    this.delayMs = ((taps.length - 1) / 2 / (fromHz * this.up)) * 1000;
    this.history = new Float32Array(this.length - 1);
    this.next = 0; // place of the next output sample, in steps of the raised rate, from the block's first sample
  }

  // The output that the next block of samples completes, Float32Array of about block.length * up / down samples.
  process(block) {
    const input = new Float32Array(this.history.length + block.length);
    input.set(this.history);
    input.set(block, this.history.length);
    const end = block.length * this.up;
    const output = new Float32Array(Math.max(0, Math.ceil((end - this.next) / this.down)));
    for (let k = 0; k < output.length; k += 1) {
      const taps = this.phases[this.next % this.up];
      const newest = this.history.length + Math.floor(this.next / this.up);
      let sum = 0;
      for (let n = 0; n < this.length; n += 1) sum += taps[n] * input[newest - n];
      output[k] = sum;
      this.next += this.down;
    }
    this.next -= end;
    this.history = input.slice(input.length - this.history.length);
    return output;
  }
}

// Samples of -1..1 as whole numbers of 16 bits, those beyond at the end of the range.
export function toInt16(samples) {
  return Int16Array.from(samples, (each) => Math.max(-32768, Math.min(32767, Math.round(each * 32768))));
}
