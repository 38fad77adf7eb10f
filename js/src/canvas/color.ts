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
