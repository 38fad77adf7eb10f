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
 * A color of its own for each id, the same every time.
 *
 * The hue goes around by the hash of the id; two steps of lightness tell neighbors of like hue apart.
 */
export function colorOfId(id: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  const hue = (hash % 360) / 60;
  const high = (hash >>> 16) & 1 ? 0.95 : 0.78;
  const low = 0.16;
  const channel = (shift: number): string => {
    const at = (hue + shift) % 6;
    const up = Math.min(Math.max(Math.abs(at - 3) - 1, 0), 1);
    return Math.round(255 * (low + (high - low) * up)).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(4)}${channel(2)}`;
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
