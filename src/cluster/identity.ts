/**
 * `identity.json`: whose directory this is. Written once, at birth. A directory without it was
 * never part of a cluster, and starting a node on it does not make it one (internals rule 8).
 */
import { chmodSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../raft/types.ts';
import { FIRST_LEVEL } from '../broker/feature-level.ts';
import type { BirthConfig } from '../config.ts';
import { Failure, oneLine } from '../failure.ts';
import { writeDurably } from './durable-file.ts';

export const IDENTITY_FORMAT = 2;
const IDENTITY_FILE = 'identity.json';
const BOOT_FILE = 'boot';
const LOG_BORN_FILE = 'log-born';

export interface Member {
  readonly node: NodeId;
  /** Random, drawn when the member's directory was created: tells it from a later namesake. */
  readonly incarnation: string;
}

/** A member, and where other nodes reached it when that was written down. */
export interface Contact extends Member {
  /** '' = it was not known. */
  readonly peerAddress: string;
}

export interface Identity extends BirthConfig {
  readonly format: typeof IDENTITY_FORMAT;
  readonly clusterId: string;
  readonly node: NodeId;
  readonly incarnation: string;
  /** The cluster at its birth, ascending by node. */
  readonly members: readonly Member[];
  /** The cluster when this directory was added to it; empty in a directory of its birth. */
  readonly contacts: readonly Contact[];
  readonly createdAtMs: number;
  /** That the cluster was born at (broker/feature-level.ts). */
  readonly featureLevel: number;
}

export function hasIdentity(directory: string): boolean {
  return existsSync(join(directory, IDENTITY_FILE));
}

/** From here on the directory is its owner's alone, whoever made it; a node asks for that. */
export function writeIdentity(directory: string, identity: Identity): void {
  if (statSync(directory).uid === process.geteuid?.()) chmodSync(directory, 0o700);
  writeDurably(join(directory, IDENTITY_FILE), `${JSON.stringify(identity, undefined, 2)}\n`);
}

/** Throws a one-line `Failure` when the file is damaged or of a format that is not known here. */
export function readIdentity(directory: string): Identity {
  const file = join(directory, IDENTITY_FILE);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Failure(`${file} cannot be read: ${oneLine(error)}`, undefined, error);
  }
  const identity = value as Identity;
  if (identity?.format !== IDENTITY_FORMAT) {
    const found = String(identity?.format);
    throw new Failure(`${file} has format ${found}, this holdfast knows ${IDENTITY_FORMAT}`);
  }
  if (!isIdentity(identity)) throw new Failure(`${file} is damaged: a field is missing or wrong`);
  // Builds that knew no levels wrote none.
  return { ...identity, featureLevel: identity.featureLevel ?? FIRST_LEVEL };
}

function isIdentity(identity: Identity): boolean {
  const { clusterId, contacts, incarnation, members } = identity;
  const numbers = [identity.node, identity.dataShards, identity.replicationFactor];
  return (
    [clusterId, incarnation].every((text) => typeof text === 'string' && text !== '') &&
    numbers.every((number) => Number.isSafeInteger(number) && number >= 1) &&
    Array.isArray(members) &&
    Array.isArray(contacts) &&
    members.every(isMember) &&
    contacts.every((contact) => isMember(contact) && typeof contact.peerAddress === 'string') &&
    (contacts.length > 0 ||
      members.some((member) => member.node === identity.node && member.incarnation === incarnation))
  );
}

function isMember(member: Member): boolean {
  return Number.isSafeInteger(member?.node) && typeof member.incarnation === 'string';
}

/**
 * Counts one more start of this directory, durably, and gives the number. Peers refuse a number
 * lower than they have seen: a directory put back from a copy has forgotten votes and entries.
 */
export function countBoot(directory: string): number {
  const file = join(directory, BOOT_FILE);
  const boot = (existsSync(file) ? readBoot(file) : 0) + 1;
  writeDurably(file, `${boot}\n`);
  return boot;
}

/** True when a node was ever started on the directory. */
export function everStarted(directory: string): boolean {
  return existsSync(join(directory, BOOT_FILE));
}

function readBoot(file: string): number {
  const text = readFileSync(file, 'utf8').trim();
  if (!/^\d{1,15}$/.test(text)) throw new Failure(`${file} is damaged: it holds no boot number`);
  return Number(text);
}

/** The first configuration is durable in the commit log: an empty log is from now on a lost one. */
export function isLogBorn(directory: string): boolean {
  return existsSync(join(directory, LOG_BORN_FILE));
}

export function markLogBorn(directory: string): void {
  writeDurably(join(directory, LOG_BORN_FILE), 'first configuration written\n');
}
