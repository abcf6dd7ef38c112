/**
 * `permissions[16]` of the guest's paging context: one byte for each kind of access, one bit in it for each set of
 * rights, set where the access faults. Computed once for a mode of the guest, and asked at each walk.
 */
import { ACC_EXEC, ACC_USER, ACC_WRITE } from './role.ts';

export interface PermissionMode {
  readonly wp: boolean;
  readonly nx: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
}

/** Bits of a page-fault error code. */
export const PFERR = { present: 1, write: 2, user: 4, rsvd: 8, fetch: 16, pk: 32 } as const;

/** Which of the eight sets of rights hold a right, as a byte. */
const setsWith = (right: number): number =>
  Array.from({ length: 8 }, (_, access) => access).reduce(
    (byte, access) => ((access & right) === 0 ? byte : byte | (1 << access)),
    0,
  );
const X = setsWith(ACC_EXEC);
const W = setsWith(ACC_WRITE);
const U = setsWith(ACC_USER);
const BYTE = 0xff;

/** `update_permission_bitmask`: index = error code / 2 (without P), bits = sets of rights that refuse. */
export function permissionBitmap(mode: PermissionMode): readonly number[] {
  return Array.from({ length: 16 }, (_, index) => {
    const code = index << 1;
    const user = (code & PFERR.user) !== 0;
    const writes = (code & PFERR.write) !== 0 && (mode.wp || user) ? ~W & BYTE : 0;
    const users = user ? ~U & BYTE : 0;
    const fetches = (code & PFERR.fetch) !== 0;
    const executes = fetches && mode.nx ? ~X & BYTE : 0;
    const kernelOnUser = user ? 0 : U;
    const smep = mode.smep && fetches ? kernelOnUser : 0;
    // The bit of a reserved-bit fault stands for "SMAP does not apply" here.
    const smap = mode.smap && !fetches && (code & PFERR.rsvd) === 0 ? kernelOnUser : 0;
    return writes | users | executes | smep | smap;
  });
}

/** `permission_fault`: the P bit of an error code where the access is refused, else 0. */
export function permissionFault(
  permissions: readonly number[],
  of: { access: number; code: number; smapOff: boolean },
): number {
  const index = ((of.code & ~PFERR.rsvd & ~PFERR.present) | (of.smapOff ? PFERR.rsvd : 0)) >> 1;
  return (((permissions[index & 0xf] ?? 0) >> of.access) & 1) === 1 ? PFERR.present : 0;
}
