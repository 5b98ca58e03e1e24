/** Milliseconds, or with a unit: `250ms`, `10s`, `5m`, `2h`, `3d`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

export function durationMs(duration: Duration): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration)) ?? [];
  const ms = count === undefined ? duration : Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  if (typeof ms === 'number' && ms >= 0 && Number.isSafeInteger(ms)) return ms;
  throw new TypeError(
    `${duration} is no duration: give whole milliseconds, or a number and ms, s, m, h or d`,
  );
}
