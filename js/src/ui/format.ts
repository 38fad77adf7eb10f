// Numbers as people read them.

export function formatArea(pixels: number): string {
  if (pixels < 1000) return `${pixels} px`;
  if (pixels < 99_950) return `${(pixels / 1000).toFixed(1)}k px`;
  if (pixels < 999_500) return `${Math.round(pixels / 1000)}k px`;
  return `${(pixels / 1e6).toFixed(1)}M px`;
}

export function formatScore(score: number): string {
  return Number.isFinite(score) ? score.toFixed(2) : "–";
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
