/**
 * Spans as OpenTelemetry has them, sent to a collector by OTLP over HTTP. Loaded only where
 * `tracing.endpoint` is set: the packages are large.
 */
import {
  type Context,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../config.ts';
import { packageVersion } from '../package-root.ts';
import { checkedTraceparent, type Span, type SpanFacts, type Spans } from '../service/spans.ts';

export interface NodeSpans extends Spans {
  /** What is still here is sent, for a short while. */
  close(): Promise<void>;
}

const MAX_QUEUED_SPANS = 2048;
const MAX_BATCH_SPANS = 512;
const EXPORT_INTERVAL_MS = 1000;
const EXPORT_TIMEOUT_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;

/** A caller that samples is followed; of the others, so many are taken. */
export function openSpans(
  { endpoint, sampleRatio }: TracingConfig,
  node: { readonly clusterId: string; readonly node: number },
): NodeSpans {
  const exporter = new OTLPTraceExporter({ url: endpoint, timeoutMillis: EXPORT_TIMEOUT_MS });
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: MAX_QUEUED_SPANS,
    maxExportBatchSize: MAX_BATCH_SPANS,
    scheduledDelayMillis: EXPORT_INTERVAL_MS,
    exportTimeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'holdfast',
      'service.version': packageVersion(),
      'service.namespace': node.clusterId,
      'service.instance.id': `${node.node}`,
    }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('holdfast');
  return {
    begin: (name, traceparent) => beginSpan(tracer, name, contextOf(traceparent)),
    async close() {
      await provider.forceFlush({ timeoutMillis: CLOSE_TIMEOUT_MS }).catch(() => undefined);
      await provider.shutdown();
    },
  };
}

function beginSpan(tracer: Tracer, name: string, parent: Context): Span | undefined {
  const [, service = '', method = ''] = name.split('/');
  const rpc = { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method };
  const span = tracer.startSpan(
    name.replace(/^\//, ''),
    { kind: SpanKind.SERVER, attributes: name.startsWith('/') ? rpc : {} },
    parent,
  );
  return span.isRecording() ? new CallSpan(tracer, span) : undefined;
}

/** What the caller was in the middle of. */
function contextOf(traceparent: string | undefined): Context {
  const checked = checkedTraceparent(traceparent);
  if (checked === undefined) return ROOT_CONTEXT;
  const [, traceId = '', spanId = '', flags = ''] = checked.split('-');
  const traceFlags = Number.parseInt(flags, 16) & TraceFlags.SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}

class CallSpan implements Span {
  readonly #tracer: Tracer;
  readonly #span: OtelSpan;

  constructor(tracer: Tracer, span: OtelSpan) {
    this.#tracer = tracer;
    this.#span = span;
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`;
  }

  child(name: string, { peer, shard }: SpanFacts): Span {
    const attributes = {
      ...(shard === undefined ? {} : { 'holdfast.shard': shard }),
      ...(peer === undefined ? {} : { 'holdfast.peer': peer }),
    };
    const kind = peer === undefined ? SpanKind.INTERNAL : SpanKind.CLIENT;
    const context = trace.setSpan(ROOT_CONTEXT, this.#span);
    return new CallSpan(this.#tracer, this.#tracer.startSpan(name, { kind, attributes }, context));
  }

  end(reason?: string): void {
    if (reason !== undefined) {
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: reason });
      this.#span.setAttribute('holdfast.reason', reason);
    }
    this.#span.end();
  }
}
