/** The value below which `fraction` of the samples lie; sorts in place. */
export function percentile(samples: number[], fraction: number): number {
  if (samples.length === 0) return Number.NaN;
  samples.sort((a, b) => a - b);
  return samples[Math.min(samples.length - 1, Math.floor(samples.length * fraction))] as number;
}

export function median(samples: readonly number[]): number {
  return percentile([...samples], 0.5);
}
