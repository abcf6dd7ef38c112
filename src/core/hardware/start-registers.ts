/** Registers of a guest of each paging mode when a scenario begins. Source: Intel SDM vol. 3. */
import { CR0_PG, CR0_WP, CR4_LA57, CR4_PAE, CR4_PGE, CR4_PSE, EFER_LMA, EFER_NXE } from './registers.ts';

const CR0_PE = 1n;
const EFER_LME = 1n << 8n;
const LONG = EFER_LME | EFER_LMA;

/** Write protect and global pages on; no-execute where entries have a bit for it. */
export function startRegistersOf(guest: string): Readonly<Record<'cr0' | 'cr4' | 'efer', bigint>> {
  const cr0 = CR0_PG | CR0_WP | CR0_PE;
  switch (guest) {
    case 'nonpaging':
      return { cr0: CR0_PE | CR0_WP, cr4: 0n, efer: EFER_NXE };
    case '2-level':
      return { cr0, cr4: CR4_PSE | CR4_PGE, efer: 0n };
    case 'pae':
      return { cr0, cr4: CR4_PAE | CR4_PGE, efer: EFER_NXE };
    case '5-level':
      return { cr0, cr4: CR4_PAE | CR4_PGE | CR4_LA57, efer: EFER_NXE | LONG };
    default:
      return { cr0, cr4: CR4_PAE | CR4_PGE, efer: EFER_NXE | LONG };
  }
}
