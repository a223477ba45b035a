// Accepted and refused recipients per second over the last minute, against the limit.

const SECONDS = 60;
const BIN = 0.5;
const STEPS = 4;

export function draw(canvas, slots, now, limit) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const end = Math.ceil(now / BIN) * BIN;
  const bins = Array.from({ length: SECONDS / BIN }, () => [0, 0]);
  for (const [start, accepted, refused] of slots) {
    const bin = bins[Math.floor((start + 0.05 - (end - SECONDS)) / BIN)];
    if (bin) {
      bin[0] += accepted / BIN;
      bin[1] += refused / BIN;
    }
  }
  const peak = Math.max(0, ...bins.map(([accepted, refused]) => accepted + refused));
  // A limit far above all traffic would flatten the bars. Then the page names it and draws no line.
  const limitShows = peak === 0 || limit <= peak * 6;
  const top = nice(Math.max(peak, limitShows ? limit : 0) * 1.12 || 1);

  const left = 46, right = width - 4, bottom = height - 20, up = 6;
  const y = (value) => bottom - ((bottom - up) * value) / top;
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.lineWidth = 1;
  for (let step = 0; step <= STEPS; step++) {
    const value = (top * step) / STEPS;
    pen.strokeStyle = colour("--line");
    line(pen, left, y(value), right, y(value));
    pen.fillStyle = colour("--quiet");
    pen.textAlign = "right";
    pen.fillText(label(value), left - 6, y(value));
  }
  pen.textAlign = "center";
  for (let ago = 0; ago <= SECONDS; ago += width < 320 ? 30 : 15) {
    const x = right - ((right - left) * ago) / SECONDS;
    pen.textAlign = ago === 0 ? "right" : ago === SECONDS ? "left" : "center";
    pen.fillText(ago === 0 ? "now" : `−${ago} s`, x, height - 8);
  }

  const wide = (right - left) / bins.length;
  bins.forEach(([accepted, refused], index) => {
    const x = left + index * wide;
    pen.fillStyle = colour("--ok");
    pen.fillRect(x + 0.5, y(accepted), Math.max(1, wide - 1), bottom - y(accepted));
    pen.fillStyle = colour("--bad");
    pen.fillRect(x + 0.5, y(accepted + refused), Math.max(1, wide - 1), y(accepted) - y(accepted + refused));
  });

  if (limitShows) {
    pen.strokeStyle = colour("--limit");
    pen.lineWidth = 1.5;
    pen.setLineDash([6, 4]);
    line(pen, left, y(limit), right, y(limit));
    pen.setLineDash([]);
  }
}

function line(pen, fromX, fromY, toX, toY) {
  pen.beginPath();
  pen.moveTo(fromX, Math.round(fromY) + 0.5);
  pen.lineTo(toX, Math.round(toY) + 0.5);
  pen.stroke();
}

// The top of an axis with steps that need no rounding.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value / STEPS));
  return STEPS * power * ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8].find((factor) => factor * power * STEPS >= value) ?? 10);
}

function label(value) {
  return value >= 1000 ? `${+(value / 1000).toFixed(2)}k` : `${+value.toFixed(2)}`;
}
