/** What pages and dashboards say of metrics, and what a scrape shows. */

export interface DocumentedMetric {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
}

/** The rows of the table in docs/metrics.md. */
export function documentedMetrics(page: string): readonly DocumentedMetric[] {
  return page
    .split('\n')
    .filter((line) => /^\| `\w+` \| (?:counter|gauge|histogram) \|/.test(line))
    .map((line) => {
      const [, name = '', type = '', labels = ''] = line.split('|').map((cell) => cell.trim());
      return { name: name.replaceAll('`', ''), type, labels: labels.match(/\w+/g) ?? [] };
    });
}

/** Names of ours, and of the process, that an expression asks for. */
export function namesIn(expression: string): readonly string[] {
  const bare = expression.replaceAll(/"[^"]*"/g, '""');
  return bare.match(/\b(?:holdfast|process|nodejs)_\w+/g) ?? [];
}

/** As the metric is declared: a histogram is asked for by its parts, and only by these. */
export function declaredName(name: string, known: readonly DocumentedMetric[]): string | undefined {
  const whole = known.find((one) => one.name === name);
  if (whole !== undefined) return whole.type === 'histogram' ? undefined : name;
  const base = name.replace(/_(?:bucket|count|sum)$/, '');
  return known.find((one) => one.name === base && one.type === 'histogram')?.name;
}

export interface ScrapedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Scraped {
  readonly text: string;
  readonly samples: readonly ScrapedSample[];

  constructor(text: string) {
    this.text = text;
    this.samples = text.split('\n').flatMap((line) => {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match === null) return [];
      const [, name, labels = '', value] = match;
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map((pair) => [pair[1], pair[2]]);
      return [{ name: name!, labels: Object.fromEntries(pairs), value: Number(value) }];
    });
  }

  /** `[name, type]` as declared. */
  types(): readonly (readonly [string, string])[] {
    return [...this.text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map((match) => [match[1]!, match[2]!]);
  }

  /** Over all samples with these labels; 0 where there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    let sum = 0;
    for (const sample of this.samples) {
      const fits = Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
      if (sample.name === name && fits) sum += sample.value;
    }
    return sum;
  }
}
