import { isIPv6 } from 'node:net';

/** `host:port`, the form in which configurations and command lines name an endpoint. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const PORT_MAX = 65_535;

/** Accepts `host:port` and `[ipv6]:port`; undefined when the text is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null || (match[1] !== undefined && !isIPv6(match[1]))) return undefined;
  const port = Number(match[3]);
  if (port < 1 || port > PORT_MAX) return undefined;
  return { host: (match[1] ?? match[2])!, port };
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reachable from this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Listens on every interface: right for `listen`, meaningless as an address to dial. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
