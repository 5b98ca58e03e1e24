/**
 * Repairs the descriptors that proto-loader hands to reflection, which strict readers (grpcurl and
 * everything else in Go) refuse or misread:
 *   - entries of maps must be named `<Field>Entry`;
 *   - ends of reserved ranges are exclusive;
 *   - an `optional` field must say so, or its presence reads as a oneof of the API.
 * Field numbers are those of google/protobuf/descriptor.proto.
 */
import type { PackageDefinition } from '@grpc/proto-loader';
import { asBuffer, bytesFieldSize, varintSize, WireReader, WireType, WireWriter } from './wire.ts';

interface Field {
  readonly field: number;
  readonly value: number | Buffer;
}

const FILE = { messageType: 4 } as const;
const MESSAGE = { name: 1, field: 2, nestedType: 3, options: 7, oneof: 8, reserved: 9 } as const;
const MESSAGE_OPTIONS = { mapEntry: 7 } as const;
const FIELD = { name: 1, typeName: 6, oneofIndex: 9, proto3Optional: 17 } as const;
const RANGE = { end: 2 } as const;

export function repairedDescriptors(packages: PackageDefinition): PackageDefinition {
  const repaired: PackageDefinition = {};
  const seen = new Map<Buffer, Buffer>();
  for (const [name, definition] of Object.entries(packages)) {
    // A service's own entries are methods; messages and enums carry the files that they are from.
    const { fileDescriptorProtos } = definition as { fileDescriptorProtos?: Buffer[] };
    if (!Array.isArray(fileDescriptorProtos)) {
      repaired[name] = definition;
      continue;
    }
    const files = fileDescriptorProtos.map((file) => {
      const known = seen.get(file) ?? repairFile(file);
      seen.set(file, known);
      return known;
    });
    repaired[name] = { ...definition, fileDescriptorProtos: files } as typeof definition;
  }
  return repaired;
}

function repairFile(file: Buffer): Buffer {
  return mapped(file, ({ field, value }) =>
    field === FILE.messageType ? repairMessage(value as Buffer) : value,
  );
}

function repairMessage(message: Buffer): Buffer {
  const fields = parse(message);
  const entries = new Set(
    all(fields, MESSAGE.nestedType)
      .filter(isMapEntry)
      .map((entry) => text(entry, MESSAGE.name)),
  );
  const oneofs = all(fields, MESSAGE.oneof).map((oneof) => text(oneof, MESSAGE.name));
  return encode(
    fields.map(({ field, value }) => {
      if (field === MESSAGE.field) {
        return { field, value: repairField(value as Buffer, entries, oneofs) };
      }
      if (field === MESSAGE.reserved) {
        return { field, value: mapped(value as Buffer, exclusiveEnd) };
      }
      if (field !== MESSAGE.nestedType) return { field, value };
      return { field, value: repairNested(value as Buffer) };
    }),
  );
}

function repairNested(nested: Buffer): Buffer {
  if (!isMapEntry(nested)) return repairMessage(nested);
  return mapped(nested, ({ field, value }) =>
    field === MESSAGE.name ? Buffer.from(`${value}Entry`) : value,
  );
}

function repairField(
  bytes: Buffer,
  entries: ReadonlySet<string>,
  oneofs: readonly string[],
): Buffer {
  const fields = parse(bytes).map(({ field, value }) => {
    const isEntry = field === FIELD.typeName && entries.has(value.toString());
    return { field, value: isEntry ? Buffer.from(`${value}Entry`) : value };
  });
  const index = fields.find(({ field }) => field === FIELD.oneofIndex)?.value;
  const isOptional = index !== undefined && oneofs[Number(index)] === `_${text(bytes, FIELD.name)}`;
  if (!isOptional) return encode(fields);
  return encode([
    ...fields.filter(({ field }) => field !== FIELD.proto3Optional),
    { field: FIELD.proto3Optional, value: 1 },
  ]);
}

const exclusiveEnd = ({ field, value }: Field): number | Buffer =>
  field === RANGE.end ? Number(value) + 1 : value;

function isMapEntry(message: Buffer): boolean {
  return all(parse(message), MESSAGE.options).some((options) =>
    parse(options).some(({ field, value }) => field === MESSAGE_OPTIONS.mapEntry && value === 1),
  );
}

function all(fields: readonly Field[], number: number): Buffer[] {
  return fields.filter(({ field }) => field === number).map(({ value }) => value as Buffer);
}

function text(message: Buffer, number: number): string {
  return all(parse(message), number).join('');
}

function mapped(message: Buffer, change: (field: Field) => number | Buffer): Buffer {
  return encode(parse(message).map((field) => ({ field: field.field, value: change(field) })));
}

/** Descriptors hold numbers and length-delimited fields only, up to options that we do not use. */
function parse(message: Buffer): Field[] {
  const reader = new WireReader(asBuffer(message));
  const fields: Field[] = [];
  while (reader.position < reader.end) {
    const tag = reader.varint();
    const wireType = tag & 7;
    if (wireType === WireType.bytes) fields.push({ field: tag >> 3, value: reader.slice() });
    else if (wireType === WireType.varint) {
      fields.push({ field: tag >> 3, value: reader.varint() });
    } else reader.skip(wireType);
  }
  return fields;
}

function encode(fields: readonly Field[]): Buffer {
  let size = 0;
  for (const { field, value } of fields) {
    const tagSize = varintSize(field * 8);
    size +=
      typeof value === 'number'
        ? tagSize + varintSize(value)
        : bytesFieldSize(tagSize, value.length);
  }
  const writer = new WireWriter(size);
  for (const { field, value } of fields) {
    if (typeof value === 'number') writer.optionalNumber(field, value);
    else {
      writer.message(field, value.length);
      writer.raw(value);
    }
  }
  return writer.done();
}
