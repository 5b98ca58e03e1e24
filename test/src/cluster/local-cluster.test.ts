import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  deleteLocalCluster,
  type LocalCluster,
  openLocalCluster,
  writeConfigs,
} from '../../../src/cluster/local-cluster.ts';
import { checkDirectory } from '../../../src/cluster/node-directory.ts';
import { loadConfig } from '../../../src/config-sources.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

function open(root: string, nodes?: number, basePort = 7400): LocalCluster {
  return openLocalCluster({ root, nodes, basePort, birth: { dataShards: 2 }, createdAtMs: 0 });
}

describe('local cluster', () => {
  it('is born in an empty root, with configurations that serve accepts', () => {
    const root = temporaryDirectory();
    const { newborn, nodes, clusterId } = open(root);
    expect(newborn).toBe(true);
    expect(nodes.map(({ grpc, peer, http }) => [grpc.port, peer.port, http.port])).toEqual([
      [7401, 7501, 7601],
      [7402, 7502, 7602],
      [7403, 7503, 7603],
    ]);
    for (const { configFile, grpc, peer, http } of nodes) {
      expect(loadConfig({ file: configFile }).listen).toEqual({ grpc, peer, http });
      expect(checkDirectory(loadConfig({ file: configFile })).clusterId).toBe(clusterId);
    }
  });

  it("is its owner's alone", () => {
    const root = join(temporaryDirectory(), 'data');
    const { nodes } = open(root, 1);
    const rights = [root, nodes[0]!.directory].map((path) => statSync(path).mode & 0o777);
    expect(rights).toEqual([0o700, 0o700]);
  });

  it('with TLS its nodes find their certificates', () => {
    const cluster = open(temporaryDirectory(), 2);
    const own = (node: number) => ({ cert: `/n ${node}.crt`, key: `${node}:key`, ca: 'ca' });
    writeConfigs(cluster, own);
    for (const { node, configFile } of cluster.nodes) {
      const { tls } = loadConfig({ file: configFile });
      const { cert, key } = own(node);
      expect(tls).toEqual({ grpc: { cert, key, ca: undefined }, peer: own(node) });
    }
    const plain = open(dirname(cluster.nodes[0]!.directory));
    expect(loadConfig({ file: plain.nodes[0]!.configFile }).tls.peer).toBeUndefined();
  });

  it('--fresh takes its certificates away, too', () => {
    const root = temporaryDirectory();
    open(root, 1);
    mkdirSync(join(root, 'tls'));
    writeFileSync(join(root, 'tls', 'ca.key'), 'x');
    deleteLocalCluster(root);
    expect(readdirSync(root)).toEqual([]);
  });

  it('one node has no peers', () => {
    const { nodes } = open(temporaryDirectory(), 1);
    expect(loadConfig({ file: nodes[0]!.configFile }).peers.size).toBe(0);
  });

  it('goes on with what is there, on other ports too', () => {
    const root = temporaryDirectory();
    const born = open(root, 5);
    const again = open(root, undefined, 8000);
    expect(again).toMatchObject({ clusterId: born.clusterId, newborn: false });
    expect(again.nodes).toHaveLength(5);
    expect(loadConfig({ file: again.nodes[4]!.configFile }).listen.grpc.port).toBe(8005);
    expect(() => open(root, 3)).toThrow(/cluster of 5 nodes, not 3/);
  });

  it('begins again when the birth was cut off, since no node was started yet', () => {
    const root = temporaryDirectory();
    const { clusterId } = open(root);
    const marker = join(root, 'holdfast-cluster.json');
    const text = readFileSync(marker, 'utf8');
    writeFileSync(marker, text.replace('"born":true', '"born":false'));
    rmSync(join(root, 'node-3'), { recursive: true });
    const again = open(root);
    expect(again.newborn).toBe(true);
    expect(again.clusterId).not.toBe(clusterId);
  });

  it('never starts a member on an empty directory, nor on that of another cluster', () => {
    const root = temporaryDirectory();
    open(root);
    rmSync(join(root, 'node-2'), { recursive: true });
    expect(() => open(root)).toThrow(/node-2 is gone or empty/);
    const other = temporaryDirectory();
    open(other);
    rmSync(join(root, 'node-1'), { recursive: true });
    mkdirSync(join(root, 'node-1'));
    const identity = readFileSync(join(other, 'node-1', 'identity.json'));
    writeFileSync(join(root, 'node-1', 'identity.json'), identity);
    expect(() => open(root)).toThrow(/holds data of cluster/);
  });

  it('touches nothing in a directory that is not ours, with --fresh neither', () => {
    const root = temporaryDirectory();
    mkdirSync(join(root, 'node-1'));
    writeFileSync(join(root, 'letters.txt'), 'x');
    expect(() => open(root)).toThrow(/is not empty/);
    expect(() => deleteLocalCluster(root)).toThrow(/is not empty/);
    expect(readdirSync(root).sort()).toEqual(['letters.txt', 'node-1']);
  });

  it('--fresh deletes the nodes and the marker, and leaves the rest', () => {
    const root = temporaryDirectory();
    open(root);
    writeFileSync(join(root, 'letters.txt'), 'x');
    deleteLocalCluster(root);
    expect(readdirSync(root)).toEqual(['letters.txt']);
  });

  it('ports must fit', () => {
    expect(() => open(temporaryDirectory(), 3, 65_500)).toThrow(/leaves no room/);
  });
});
