/** The process itself, under the names that dashboards for Node know. */
import { packageVersion } from '../package-root.ts';
import { DELAY_QUANTILES } from './event-loop.ts';
import type { Reading, Sample } from './readings.ts';

const US_PER_S = 1e6;
const VERSION = packageVersion();
const STARTED_AT_S = Math.round(Date.now() / 1000 - process.uptime());

export const PROCESS_READINGS: readonly Reading[] = [
  {
    name: 'holdfast_info',
    help: 'Always 1; what runs here',
    type: 'gauge',
    labels: ['node', 'version', 'node_js'],
    read: ({ node }) => [[1, { node, version: VERSION, node_js: process.version }]],
  },
  {
    name: 'holdfast_event_loop_delay_seconds',
    help: 'How late the process came to its events, since the last scrape',
    type: 'gauge',
    labels: ['quantile'],
    read: ({ eventLoop }) =>
      DELAY_QUANTILES.map((quantile): Sample => [eventLoop.delaySeconds[quantile], { quantile }]),
  },
  {
    name: 'holdfast_event_loop_utilization',
    help: 'Part of the time that it was not idle, since the last scrape',
    type: 'gauge',
    read: ({ eventLoop }) => eventLoop.utilization,
  },
  {
    name: 'process_cpu_seconds_total',
    help: 'CPU time',
    type: 'counter',
    read: () => {
      const { system, user } = process.cpuUsage();
      return (system + user) / US_PER_S;
    },
  },
  {
    name: 'process_start_time_seconds',
    help: 'When it was started',
    type: 'gauge',
    read: () => STARTED_AT_S,
  },
  {
    name: 'process_resident_memory_bytes',
    help: 'Memory held',
    type: 'gauge',
    read: () => process.memoryUsage.rss(),
  },
  {
    name: 'nodejs_heap_size_used_bytes',
    help: 'Of the heap, in use',
    type: 'gauge',
    read: () => process.memoryUsage().heapUsed,
  },
  {
    name: 'nodejs_heap_size_total_bytes',
    help: 'The heap',
    type: 'gauge',
    read: () => process.memoryUsage().heapTotal,
  },
  {
    name: 'nodejs_external_memory_bytes',
    help: 'Buffers outside the heap',
    type: 'gauge',
    read: () => process.memoryUsage().external,
  },
];
