/** What a certificate of the peer port says about whose it is. */
import type { X509Certificate } from 'node:crypto';
import type { NodeId } from '../../raft/types.ts';

/** Its only form, compared as a text; written into a certificate as a URI among its SANs. */
export function nodeName(clusterId: string, node: NodeId): string {
  return `holdfast://${clusterId}/node/${node}`;
}

const URI = 'URI:';

/** The URIs that a certificate names. Node quotes and escapes a comma that is part of a name. */
export function uriNames({
  subjectAltName,
}: Pick<X509Certificate, 'subjectAltName'>): readonly string[] {
  const names = (subjectAltName ?? '').split(', ');
  return names.filter((name) => name.startsWith(URI)).map((name) => name.slice(URI.length));
}
