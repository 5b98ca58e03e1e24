import { createRequire } from 'node:module';
import { fromJSON, type PackageDefinition } from '@grpc/proto-loader';
import { describe, expect, test } from 'vitest';
import { repairedDescriptors } from '../../../src/service/descriptors.ts';
import { Proto } from '../../../src/service/proto.ts';

interface Message {
  readonly name: string;
  readonly field: readonly {
    readonly name: string;
    readonly typeName: string;
    readonly proto3Optional?: boolean;
  }[];
  readonly nestedType: readonly Message[];
  readonly reservedRange: readonly { readonly start: number; readonly end: number }[];
  readonly options?: { readonly mapEntry: boolean };
}

const descriptor = createRequire(createRequire(import.meta.url).resolve('@grpc/proto-loader'))(
  'protobufjs/ext/descriptor',
) as { readonly FileDescriptorProto: { decode(bytes: Buffer): { messageType: Message[] } } };

function messages(packages: PackageDefinition): Map<string, Message> {
  const found = new Map<string, Message>();
  for (const definition of Object.values(packages)) {
    const { fileDescriptorProtos } = definition as { fileDescriptorProtos?: Buffer[] };
    for (const file of fileDescriptorProtos ?? []) {
      for (const message of descriptor.FileDescriptorProto.decode(file).messageType) {
        found.set(message.name, message);
      }
    }
  }
  return found;
}

describe('reflection', () => {
  const repaired = messages(repairedDescriptors(new Proto().all));

  test('map entries carry the name that strict readers expect, and the field refers to it', () => {
    for (const [name, field] of [
      ['Message', 'properties'],
      ['Error', 'metadata'],
      ['HealthListResponse', 'statuses'],
    ] as const) {
      const message = repaired.get(name)!;
      const entry = `${field[0]!.toUpperCase()}${field.slice(1)}Entry`;
      expect(message.nestedType.map((nested) => nested.name)).toEqual([entry]);
      expect(message.field.find((one) => one.name === field)!.typeName).toBe(entry);
    }
  });

  test('what the details of an error hold is described too', () => {
    const info = repaired.get('ErrorInfo')!;
    expect(info.field.map((one) => one.name)).toEqual(['reason', 'domain', 'metadata']);
    expect(info.nestedType.map((nested) => nested.name)).toEqual(['MetadataEntry']);
    expect(repaired.get('RetryInfo')!.nestedType.map((one) => one.name)).toEqual(['Duration']);
  });

  test('reserved ranges hold their numbers', () => {
    const fields = { one: { type: 'string', id: 1 } };
    const reserved = [
      [9, 9],
      [12, 14],
    ];
    const nested = { Kept: { fields, reserved } };
    const { reservedRange } = messages(repairedDescriptors(fromJSON({ nested }))).get('Kept')!;
    expect(reservedRange.map(({ start, end }) => [start, end])).toEqual([
      [9, 10],
      [12, 15],
    ]);
  });

  test('optional fields say so; members of real oneofs do not', () => {
    const optional = (message: string, field: string): boolean | undefined =>
      repaired.get(message)!.field.find((one) => one.name === field)!.proto3Optional;
    expect(optional('ProduceRequest', 'queue')).toBe(true);
    expect(optional('ProduceResponse', 'base_offset')).toBe(true);
    expect(optional('ProduceRequest', 'topic')).not.toBe(true);
    expect(optional('ResetOffsetsRequest', 'from')).not.toBe(true);
  });
});
