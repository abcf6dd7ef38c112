/** Page-fault error codes and the permission rule of x86 (Intel SDM vol. 3, "Access rights"). */
import type { AccessKind, PagingRegisters } from './registers.ts';

export const PFERR_PRESENT = 1;
export const PFERR_WRITE = 2;
export const PFERR_USER = 4;
export const PFERR_RSVD = 8;
export const PFERR_FETCH = 16;
export const PFERR_PK = 32;

export interface AccessRequest {
  readonly access: AccessKind;
  readonly user: boolean;
}

/** Rights that a path of table entries grants together: RW and US by AND, XD by OR. */
export interface PathRights {
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
  readonly protectionKey: number;
}

/** The bits of an error code that the request alone decides. The fetch bit is reported only with NXE or SMEP. */
export function requestBits(request: AccessRequest, registers: PagingRegisters): number {
  const fetch = request.access === 'execute' && (registers.nxe || registers.smep);
  return (
    (request.access === 'write' ? PFERR_WRITE : 0) |
    (request.user ? PFERR_USER : 0) |
    (fetch ? PFERR_FETCH : 0)
  );
}

/**
 * The error code with which the rights refuse the request, or undefined where they allow it. A protection key that
 * refuses is reported also where other rights refuse already.
 */
export function refusal(
  rights: PathRights,
  request: AccessRequest,
  registers: PagingRegisters,
): number | undefined {
  const byKey = request.access !== 'execute' && keyRefuses(rights, request, registers);
  if (!byKey && !rightsRefuse(rights, request, registers)) return undefined;
  return PFERR_PRESENT | requestBits(request, registers) | (byKey ? PFERR_PK : 0);
}

function rightsRefuse(rights: PathRights, request: AccessRequest, registers: PagingRegisters): boolean {
  if (request.user && !rights.user) return true;
  if (request.access === 'execute') {
    if (!rights.executable && registers.nxe) return true;
    return !request.user && rights.user && registers.smep;
  }
  if (!request.user && rights.user && registers.smap && !registers.ac) return true;
  return request.access === 'write' && !rights.writable && (request.user || registers.wp);
}

/** Protection keys: PKU guards user pages, PKS supervisor pages from the supervisor; data accesses only. */
function keyRefuses(rights: PathRights, request: AccessRequest, registers: PagingRegisters): boolean {
  const enabled = rights.user ? registers.pke : registers.pks && !request.user;
  if (!enabled) return false;
  const pair = ((rights.user ? registers.pkru : registers.pkrs) >>> (2 * rights.protectionKey)) & 3;
  if ((pair & 1) !== 0) return true;
  return (pair & 2) !== 0 && request.access === 'write' && (request.user || registers.wp);
}

/** The error code in words: `user write, not present`. */
export function errorCodeWords(code: number): string {
  const who = (code & PFERR_USER) !== 0 ? 'user' : 'kernel';
  const what = (code & PFERR_FETCH) !== 0 ? 'fetch' : (code & PFERR_WRITE) !== 0 ? 'write' : 'read';
  const why =
    (code & PFERR_RSVD) !== 0
      ? 'reserved bit set'
      : (code & PFERR_PK) !== 0
        ? 'protection key'
        : (code & PFERR_PRESENT) !== 0
          ? 'not allowed'
          : 'not present';
  return `${who} ${what}, ${why}`;
}
