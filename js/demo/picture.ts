// The picture of the demo page, drawn with code: a still life with nested parts to segment.

export function drawPicture(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const c = canvas.getContext("2d")!;
  c.scale(width / 960, height / 640);

  const gradient = (x0: number, y0: number, x1: number, y1: number, ...stops: string[]) => {
    const g = c.createLinearGradient(x0, y0, x1, y1);
    stops.forEach((s, i) => g.addColorStop(i / (stops.length - 1), s));
    return g;
  };
  const disc = (x: number, y: number, rx: number, ry: number, fill: string | CanvasGradient) => {
    c.fillStyle = fill;
    c.beginPath();
    c.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
    c.fill();
  };
  const ball = (x: number, y: number, r: number, light: string, dark: string) => {
    disc(x + 8, y + r * 0.94, r * 0.98, r * 0.22, "rgba(60, 40, 30, 0.28)");
    const g = c.createRadialGradient(x - r * 0.35, y - r * 0.4, r * 0.1, x, y, r * 1.05);
    g.addColorStop(0, light);
    g.addColorStop(1, dark);
    disc(x, y, r, r, g);
  };

  c.fillStyle = gradient(0, 0, 0, 430, "#c9d6d8", "#b4c4c8");
  c.fillRect(0, 0, 960, 430);
  c.fillStyle = gradient(0, 430, 0, 640, "#b98a5d", "#a3764c");
  c.fillRect(0, 430, 960, 210);
  c.strokeStyle = "rgba(90, 58, 30, 0.25)";
  c.lineWidth = 2;
  for (const y of [470, 524, 590]) {
    c.beginPath();
    c.moveTo(0, y);
    c.bezierCurveTo(300, y + 8, 640, y - 8, 960, y + 4);
    c.stroke();
  }

  // window
  c.fillStyle = "#f4efe6";
  c.fillRect(60, 44, 236, 250);
  c.fillStyle = gradient(0, 60, 0, 280, "#7fb4e0", "#cfe6f2");
  for (const [x, y] of [[74, 58], [184, 58], [74, 174], [184, 174]] as const) c.fillRect(x, y, 98, 106);

  // vase with flowers
  disc(664, 556, 96, 18, "rgba(60, 40, 30, 0.3)");
  c.strokeStyle = "#3f7d4e";
  c.lineWidth = 8;
  for (const [x, y] of [[590, 170], [662, 120], [742, 182]] as const) {
    c.beginPath();
    c.moveTo(662, 340);
    c.quadraticCurveTo(662, 240, x, y);
    c.stroke();
  }
  for (const [x, y, color] of [[590, 170, "#d8445f"], [662, 120, "#e9a02c"], [742, 182, "#a94fb5"]] as const) {
    for (let k = 0; k < 8; k++) {
      const a = (k * Math.PI) / 4;
      disc(x + 24 * Math.cos(a), y + 24 * Math.sin(a), 17, 17, color);
    }
    disc(x, y, 16, 16, "#5b3a22");
  }
  c.fillStyle = gradient(570, 0, 760, 0, "#2f6d94", "#5fa3c9", "#27597a");
  c.beginPath();
  c.moveTo(628, 316);
  c.bezierCurveTo(620, 380, 566, 410, 572, 480);
  c.bezierCurveTo(578, 560, 620, 562, 664, 562);
  c.bezierCurveTo(708, 562, 750, 560, 756, 480);
  c.bezierCurveTo(762, 410, 708, 380, 700, 316);
  c.closePath();
  c.fill();
  c.fillStyle = "#efe7d4";
  c.fillRect(576, 452, 178, 26);

  // bowl of fruit
  disc(330, 566, 190, 22, "rgba(60, 40, 30, 0.3)");
  ball(262, 426, 58, "#f6b24a", "#cf7412");
  ball(392, 430, 54, "#f6b24a", "#cf7412");
  ball(328, 392, 60, "#e2574c", "#9d1f2b");
  c.strokeStyle = "#4a3320";
  c.lineWidth = 6;
  c.beginPath();
  c.moveTo(328, 340);
  c.quadraticCurveTo(332, 318, 348, 310);
  c.stroke();
  c.fillStyle = gradient(150, 0, 510, 0, "#e9e6df", "#ffffff", "#d2cdc2");
  c.beginPath();
  c.moveTo(148, 446);
  c.bezierCurveTo(160, 540, 250, 574, 330, 574);
  c.bezierCurveTo(410, 574, 500, 540, 512, 446);
  c.closePath();
  c.fill();

  // a lime beside them
  ball(856, 540, 46, "#b5d750", "#6d9422");
  return canvas;
}
