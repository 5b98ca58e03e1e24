/** Lines of a table whose columns are as wide as their widest cell. */
export function formatTable(
  heads: readonly string[],
  rows: readonly (readonly unknown[])[],
): readonly string[] {
  const lines = [heads, ...rows.map((row) => row.map(String))];
  const widths = heads.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
