// Small color arithmetic for canvas and theme.

export interface Rgb {
  r: number;
  g: number;
  b: number;
}

const FALLBACK: Rgb = { r: 138, g: 143, b: 152 };

/** `#rgb` and `#rrggbb`; anything else is a neutral gray, so that odd input never reaches a style. */
export function parseHex(color: string): Rgb {
  const short = /^#([0-9a-f])([0-9a-f])([0-9a-f])$/i.exec(color);
  const long = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color);
  const parts = long?.slice(1) ?? short?.slice(1).map((digit) => digit + digit);
  if (!parts) return FALLBACK;
  const [r, g, b] = parts.map((part) => parseInt(part, 16));
  return { r: r!, g: g!, b: b! };
}

export function rgba(color: string, alpha: number): string {
  const { r, g, b } = parseHex(color);
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}

/** The color as a style may take it. */
export function safeColor(color: string): string {
  return rgba(color, 1);
}

/**
 * A vivid color of its own for each id, the same every time.
 *
 * The hue goes around by the hash of the id; lighter and darker tell those of like hue apart.
 */
export function colorOfId(id: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 0; // ids that differ little end up far apart
  const hue = ((hash >>> 8) % 360) / 30;
  const lightness = [0.5, 0.6, 0.7][hash % 3]!;
  const reach = 0.9 * Math.min(lightness, 1 - lightness);
  const channel = (shift: number): string => {
    const k = (shift + hue) % 12;
    const value = lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** Relative luminance as WCAG defines it, 0 black to 1 white. */
export function luminance({ r, g, b }: Rgb): number {
  const linear = (channel: number): number => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Black or white, whichever reads better on the color. */
export function inkOn(color: string): string {
  return luminance(parseHex(color)) > 0.36 ? "#111318" : "#ffffff";
}

/** A color as eyes see it: lightness 0 to 1, and two axes of chroma (Ottosson 2020, "OKLab"). */
export interface Lab {
  lightness: number;
  a: number;
  b: number;
}

export function toLab(color: Rgb): Lab {
  const [r, g, b] = [color.r, color.g, color.b].map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return {
    lightness: 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    a: 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    b: 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  };
}

/** The nearest color that a screen has. */
export function fromLab({ lightness, a, b }: Lab): Rgb {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const channel = (linear: number): number => {
    const c = Math.min(Math.max(linear, 0), 1);
    return Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055));
  };
  return {
    r: channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    g: channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    b: channel(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  };
}

export function toHex({ r, g, b }: Rgb): string {
  return `#${[r, g, b].map((channel) => channel.toString(16).padStart(2, "0")).join("")}`;
}

/** How far two colors look apart; black and white are 1 apart. */
export function difference(one: Lab, other: Lab): number {
  return Math.hypot(one.lightness - other.lightness, one.a - other.a, one.b - other.b);
}

/** A tint that is laid over pixels must move them so far to be seen. */
const LEAST_TINT = 0.05;
/** An outline must be so far from the pixels beside it. */
const LEAST_LINE = 0.16;
const STEP = 0.04;
export const DARK_EDGE = "rgba(0, 0, 0, 0.5)";
export const LIGHT_EDGE = "rgba(255, 255, 255, 0.7)";

export interface Contrast {
  /** The color as it is to be filled with, "#rrggbb": another lightness where it would not show. */
  fill: string;
  line: string;
  /** What lies beside the line. */
  edge: string;
}

/**
 * Makes a color show on pixels of a mean color.
 *
 * Where a fill of this opacity would leave the pixels nearly as they are, its lightness moves away
 * from theirs, to the side that has more room; hue and chroma stay, so that it is still the same color.
 */
export function contrastOn(color: string, ground: Lab, opacity: number): Contrast {
  const own = toLab(parseHex(color));
  const away = ground.lightness > 0.55 ? -STEP : STEP;
  const shifted = (enough: (lab: Lab) => boolean): Lab => {
    let lab = own;
    while (!enough(lab)) {
      const lightness = lab.lightness + away;
      if (lightness < 0 || lightness > 1) break;
      lab = { ...lab, lightness };
    }
    return lab;
  };
  const alpha = Math.max(opacity, 0.05);
  const fill = shifted((lab) => alpha * difference(lab, ground) >= LEAST_TINT);
  const line = shifted((lab) => difference(lab, ground) >= LEAST_LINE);
  // The edge stands between line and pixels: of black and white, what is farther from the nearer one.
  const room = (edge: number): number =>
    Math.min(Math.abs(edge - line.lightness), Math.abs(edge - ground.lightness));
  return {
    fill: toHex(fromLab(fill)),
    line: toHex(fromLab(line)),
    edge: room(1) > room(0) + 0.15 ? LIGHT_EDGE : DARK_EDGE,
  };
}
