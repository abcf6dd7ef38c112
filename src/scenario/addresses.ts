/** An address cut into the indices with which the guest's tables are read, as the guest's paging mode cuts it. */
import { guestAddressBits, guestLevels } from '../core/hardware/encode.ts';
import { indexIn } from '../core/hardware/format.ts';
import { completeSettings, DEFAULT_SETTINGS, misfit, type Settings } from '../core/settings.ts';
import type { Statement } from './ast.ts';
import { choicesIn } from './machine-check.ts';

export interface AddressPart {
  readonly label: string;
  /** Hexadecimal, as many digits as the part can have. */
  readonly digits: string;
  /** The level of the table that it is the index in. */
  readonly level: number | undefined;
}

const part = (label: string, of: { value: bigint | number; bits: number; level?: number }): AddressPart => ({
  label,
  digits: of.value.toString(16).padStart(Math.ceil(of.bits / 4), '0'),
  level: of.level,
});

/** Where paging is off, only page and offset; 32-bit modes have nothing above their highest index. */
export function addressParts(
  address: bigint,
  settings: Pick<Settings, 'cpu' | 'guest'>,
): readonly AddressPart[] {
  const levels = guestLevels(settings);
  const offset = part('offset', { value: address & 0xfffn, bits: 12 });
  if (levels.length === 0) return [part('page', { value: address >> 12n, bits: 20 }), offset];
  const bits = guestAddressBits(settings);
  const above = part(`63–${String(bits)}`, { value: address >> BigInt(bits), bits: 64 - bits });
  return [
    ...(bits === 32 ? [] : [above]),
    ...levels.map((at) => part(at.name, { value: indexIn(at, address), bits: at.bits, level: at.level })),
    offset,
  ];
}

/** `0x7f3c5a823000: PML4 0fe, PDPT 0f1, PD 0d4, PT 023, offset 000`. */
export function addressMeaning(address: bigint, settings: Pick<Settings, 'cpu' | 'guest'>): string {
  const parts = addressParts(address, settings).filter(({ label }) => !label.startsWith('63'));
  return `0x${address.toString(16)}: ${parts.map(({ label, digits }) => `${label} ${digits}`).join(', ')}`;
}

/** The settings of a text that is being written; those of its machine where they do not fit one another. */
export function settingsWhileWriting(statements: readonly Statement[]): Settings {
  const own = completeSettings(choicesIn(statements));
  if (misfit(own) === undefined) return own;
  const kept = { ...DEFAULT_SETTINGS, machine: own.machine, cpu: own.cpu };
  return misfit(kept) === undefined ? kept : DEFAULT_SETTINGS;
}
