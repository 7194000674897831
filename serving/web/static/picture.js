// The features of the last seconds: time from left to right, coefficients from bottom to top.

const SECONDS = 6;

export class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.facts = null;
  }

  // `facts` is what the server says of its view.
  begin(facts) {
    this.facts = facts;
    const columns = Math.round((SECONDS * 1000) / facts.row_ms);
    this.values = new Float32Array(columns * facts.coefficients).fill(NaN);
    this.waveform = facts.coefficients === 1;
    this.canvas.width = this.waveform ? 600 : columns;
    this.canvas.height = this.waveform ? 96 : facts.coefficients;
    this.draw();
  }

  // New rows, Float32Array of any number of rows × coefficients.
  add(rows) {
    const kept = rows.subarray(Math.max(0, rows.length - this.values.length));
    this.values.copyWithin(0, kept.length);
    this.values.set(kept, this.values.length - kept.length);
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    if (!this.facts) return;
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.canvas.width, this.canvas.height);
    if (this.waveform) this.drawWaveform(image);
    else this.drawFeatures(image);
    context.putImageData(image, 0, 0);
  }

  drawFeatures(image) {
    const { coefficients, signed, first_is_level: hasLevel } = this.facts;
    const colors = scheme(this.canvas);
    const level = range(this.values, coefficients, 0, 1);
    const others = hasLevel ? range(this.values, coefficients, 1, coefficients) : range(this.values, coefficients, 0, coefficients);
    const most = Math.max(Math.abs(others.low), Math.abs(others.high)) || 1;
    for (let place = 0; place < this.values.length; place += 1) {
      const coefficient = place % coefficients;
      const value = this.values[place];
      if (Number.isNaN(value)) continue;
      const column = Math.floor(place / coefficients);
      const isLevel = hasLevel && coefficient === 0;
      const color = signed && !isLevel
        ? mix(colors.paper, value < 0 ? colors.low : colors.high, Math.abs(value) / most)
        : mix(colors.paper, colors.low, share(value, isLevel ? level : others));
      put(image, column, coefficients - 1 - coefficient, color);
    }
  }

  drawWaveform(image) {
    const color = scheme(this.canvas).low;
    const each = this.values.length / image.width;
    for (let column = 0; column < image.width; column += 1) {
      const part = this.values.subarray(Math.floor(column * each), Math.floor((column + 1) * each));
      const { low, high } = range(part, 1, 0, 1);
      if (low > high) continue;
      const row = (value) => Math.round((1 - value) * 0.5 * (image.height - 1));
      for (let y = row(Math.min(1, high)); y <= row(Math.max(-1, low)); y += 1) put(image, column, y, color);
    }
  }
}

// The range of the coefficients first..last of all rows.
function range(values, coefficients, first, last) {
  let low = Infinity;
  let high = -Infinity;
  for (let row = 0; row < values.length; row += coefficients) {
    for (let place = row + first; place < row + last; place += 1) {
      if (values[place] < low) low = values[place];
      if (values[place] > high) high = values[place];
    }
  }
  return { low, high };
}

function share(value, { low, high }) {
  return high > low ? (value - low) / (high - low) : 0;
}

function scheme(canvas) {
  const style = getComputedStyle(canvas);
  const color = (name) => {
    const hex = Number.parseInt(style.getPropertyValue(name).trim().slice(1), 16);
    return [hex >> 16, (hex >> 8) & 255, hex & 255];
  };
  return { paper: color("--picture"), low: color("--low"), high: color("--high") };
}

function mix(from, to, amount) {
  const much = Math.sqrt(Math.min(1, amount));
  return from.map((each, n) => each + (to[n] - each) * much);
}

function put(image, x, y, [red, green, blue]) {
  image.data.set([red, green, blue, 255], 4 * (y * image.width + x));
}
