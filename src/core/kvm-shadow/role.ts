/**
 * The key of a shadow page: `kvm_mmu_page_role` of today, 32 bits, and the role of a vCPU, which has an extension that
 * is no part of any page's key. Source: the project's reference, D.1; bit for bit as the recorded kernels have it.
 */
import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PKE,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
} from '../hardware/registers.ts';

/** Rights as KVM numbers them: execute 1, write 2, user 4. */
export const ACC_EXEC = 1;
export const ACC_WRITE = 2;
export const ACC_USER = 4;
export const ACC_ALL = 7;

export interface RoleField {
  readonly name: string;
  /** Lowest bit. */
  readonly at: number;
  readonly bits: number;
  readonly meaning: string;
}

/** The fields of the role word, low to high. */
export const ROLE_FIELDS = [
  { name: 'level', at: 0, bits: 4, meaning: 'level of the shadow page: 1 holds leaves of 4 KiB' },
  { name: 'has_4_byte_gpte', at: 4, bits: 1, meaning: 'the guest uses entries of 4 bytes' },
  { name: 'quadrant', at: 5, bits: 2, meaning: 'which part of a table of 1024 entries this page stands for' },
  { name: 'direct', at: 7, bits: 1, meaning: 'no guest table behind it: a run of guest frames' },
  {
    name: 'access',
    at: 8,
    bits: 3,
    meaning: 'rights of the guest entries above: execute 1, write 2, user 4',
  },
  { name: 'invalid', at: 11, bits: 1, meaning: 'given up, but still the root of a vCPU' },
  { name: 'efer_nx', at: 12, bits: 1, meaning: 'no-execute counts' },
  { name: 'cr0_wp', at: 13, bits: 1, meaning: 'the guest kernel obeys read-only entries' },
  { name: 'smep_andnot_wp', at: 14, bits: 1, meaning: 'SMEP without CR0.WP' },
  { name: 'smap_andnot_wp', at: 15, bits: 1, meaning: 'SMAP without CR0.WP' },
  { name: 'ad_disabled', at: 16, bits: 1, meaning: 'the processor sets no accessed and dirty bits here' },
  { name: 'guest_mode', at: 17, bits: 1, meaning: 'built for a guest of the guest' },
  { name: 'passthrough', at: 18, bits: 1, meaning: 'a fifth level that the guest does not have' },
  { name: 'smm', at: 24, bits: 8, meaning: 'address space: 1 = system management mode' },
] as const satisfies readonly RoleField[];

export type RoleFieldName = (typeof ROLE_FIELDS)[number]['name'];

const fieldOf = (name: RoleFieldName): RoleField =>
  ROLE_FIELDS.find((field) => field.name === name) ?? ROLE_FIELDS[0];

/** A field of a role word. */
export const roleField = (role: number, name: RoleFieldName): number => {
  const { at, bits } = fieldOf(name);
  return (role >>> at) & ((1 << bits) - 1);
};

/** A role word with some fields changed. */
export function withRole(role: number, changes: Partial<Readonly<Record<RoleFieldName, number>>>): number {
  let word = role;
  for (const [name, value] of Object.entries(changes)) {
    const { at, bits } = fieldOf(name as RoleFieldName);
    const mask = ((1 << bits) - 1) << at;
    word = (word & ~mask) | ((value << at) & mask);
  }
  return word >>> 0;
}

export const levelOfRole = (role: number): number => role & 0xf;
export const isDirect = (role: number): boolean => roleField(role, 'direct') === 1;
export const isInvalid = (role: number): boolean => roleField(role, 'invalid') === 1;
/** `sp_has_gptes`: a guest table stands behind the page. */
export const hasGptes = (role: number): boolean => !isDirect(role) && roleField(role, 'passthrough') === 0;

/** Which slots a vCPU or a shadow page goes by: 1 in System Management Mode. */
export type AddressSpace = 0 | 1;
export const spaceOfRole = (role: number): AddressSpace => (roleField(role, 'smm') === 0 ? 0 : 1);

/** `cpu_role`: how the guest's CPU pages. The extension's bits are no part of a page's key. */
export interface CpuRole {
  readonly base: number;
  readonly ext: number;
}

/** The fields of the extension, one bit each, low to high. */
export const EXTENSION_FIELDS = [
  { name: 'valid', at: 0, meaning: 'the role has been worked out' },
  { name: 'execonly', at: 1, meaning: 'nested EPT: pages that can only be executed' },
  { name: 'cr4_pse', at: 2, meaning: 'large pages with entries of 4 bytes' },
  { name: 'cr4_pke', at: 3, meaning: 'protection keys for user pages' },
  { name: 'cr4_smap', at: 4, meaning: 'the guest kernel may not touch user pages' },
  { name: 'cr4_smep', at: 5, meaning: 'the guest kernel may not execute user pages' },
  { name: 'cr4_la57', at: 6, meaning: 'addresses of 57 bits' },
  { name: 'efer_lma', at: 7, meaning: 'long mode' },
] as const;

export type ExtensionFieldName = (typeof EXTENSION_FIELDS)[number]['name'];

const extensionBit = (name: ExtensionFieldName): number =>
  1 << (EXTENSION_FIELDS.find((field) => field.name === name) ?? EXTENSION_FIELDS[0]).at;
const extension = (names: Partial<Readonly<Record<ExtensionFieldName, boolean>>>): number =>
  Object.entries(names).reduce(
    (word, [name, set]) => (set ? word | extensionBit(name as ExtensionFieldName) : word),
    0,
  );

/** A field of the extension: 0 or 1. */
export const extensionField = ({ ext }: CpuRole, name: ExtensionFieldName): 0 | 1 =>
  (ext & extensionBit(name)) === 0 ? 0 : 1;

export interface GuestRegisters {
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  /** In System Management Mode. */
  readonly smm?: boolean;
}

/** `kvm_calc_cpu_role`. */
export function cpuRoleOf({ cr0, cr4, efer, smm = false }: GuestRegisters): CpuRole {
  if ((cr0 & CR0_PG) === 0n)
    return {
      base: withRole(0, { access: ACC_ALL, direct: 1, smm: Number(smm) }),
      ext: extension({ valid: true }),
    };
  const has = (register: bigint, bit: bigint): boolean => (register & bit) !== 0n;
  const [wp, smep, smap, long] = [
    has(cr0, CR0_WP),
    has(cr4, CR4_SMEP),
    has(cr4, CR4_SMAP),
    has(efer, EFER_LMA),
  ];
  const level = long ? (has(cr4, CR4_LA57) ? 5 : 4) : has(cr4, CR4_PAE) ? 3 : 2;
  return {
    base: withRole(0, {
      access: ACC_ALL,
      smm: Number(smm),
      level,
      has_4_byte_gpte: Number(!has(cr4, CR4_PAE)),
      efer_nx: Number(has(efer, EFER_NXE)),
      cr0_wp: Number(wp),
      smep_andnot_wp: Number(smep && !wp),
      smap_andnot_wp: Number(smap && !wp),
    }),
    ext: extension({
      valid: true,
      cr4_pse: has(cr4, CR4_PSE),
      cr4_pke: long && has(cr4, CR4_PKE),
      cr4_smap: smap,
      cr4_smep: smep,
      cr4_la57: long && has(cr4, CR4_LA57),
      efer_lma: long,
    }),
  };
}

/** Levels of the smallest shadow: PAE. */
const PT32E_ROOT_LEVEL = 3;

/** `root_role` of the soft MMU: at least three levels, and no-execute always on for the hardware. */
export const rootRoleOf = ({ base }: CpuRole): number =>
  withRole(base, { level: Math.max(levelOfRole(base), PT32E_ROOT_LEVEL), efer_nx: 1 });

/** The two words as one of 64 bits, as the kernel keeps them. */
export const cpuRoleWord = ({ base, ext }: CpuRole): bigint => (BigInt(ext) << 32n) | BigInt(base);

/** `kvm_mmu_child_role`: the key of the page that an entry of a page will link to. `index`: of that entry. */
export function childRole(parent: number, of: { index: number; direct: boolean; access: number }): number {
  const role = withRole(parent, {
    level: levelOfRole(parent) - 1,
    access: of.access,
    direct: Number(of.direct),
    passthrough: 0,
    invalid: 0,
  });
  return roleField(parent, 'has_4_byte_gpte') === 1 ? withRole(role, { quadrant: of.index & 1 }) : role;
}
