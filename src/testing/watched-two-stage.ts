/**
 * Runs a program on `two-stage` while naive walks look on: each access must end as a walk of guest's and host's tables would
 * end that knows no cache at all, over memory as it is at that moment. For programs in which everybody flushes as they must
 * nothing else is allowed: every change is flushed before the next access.
 */
import type { Engine, Translated } from '../core/engine.ts';
import { engineOf } from '../core/operations/engines.ts';
import type { Program } from '../core/operations/operation.ts';
import { Recorder } from '../core/operations/recorder.ts';
import type { Machine } from '../core/machine/machine.ts';
import { FIRST_SHADOW_PFN } from '../core/machine/world.ts';
import { walkArm } from './naive/arm.ts';
import { bit, field } from './naive/bits.ts';
import { walkGuestOverEpt } from './naive/ept.ts';
import { walkNpt } from './naive/npt.ts';
import { modelArmText, modelText, naiveArmText, naiveText } from './naive/outcome-text.ts';
import { modeOf, type X86Request } from './naive/x86.ts';
import { brokenIn, type Watched } from './watched-run.ts';

/** Tables of the host begin here; the root is the first of them. */
const HOST_TABLES = BigInt(FIRST_SHADOW_PFN) << 12n;
const MAXPHYADDR = 40;
const ARM_PA_BITS = 48;
const LEVELS: Readonly<Record<string, 4 | 5>> = { '4-level': 4, '5-level': 5 };
const KINDS = { read: 'r', write: 'w', execute: 'x' } as const;

/** Also how often the TLB served an access. */
export function watchTwoStage(program: Program): Watched & { readonly served: number } {
  const complaints: string[] = [];
  const engine = engineOf(program.settings);
  const watching: Engine = {
    ...engine,
    translate: (m, request) => {
      const expected = uncachedEnd(m, request);
      const found = engine.translate(m, request);
      const got = m.settings.cpu === 'arm64' ? modelArmText(found) : modelText(found);
      if (got !== expected) complaints.push(`${wordsOf(request)}: ${got}, not ${expected}`);
      return found;
    },
  };
  const recorder = new Recorder(program, { record: false, engine: watching });
  while (!recorder.done) recorder.advance();
  const served = recorder.machine.world.get('counter', 'tlb_hits@0') ?? 0;
  return {
    complaints,
    ...brokenIn(recorder),
    stale: complaints.length,
    marksRenewed: false,
    served,
  };
}

const wordsOf = ({ gva, access, user }: Translated): string =>
  `${user ? 'user' : 'kernel'} ${KINDS[access]} 0x${gva.toString(16)}`;

/** Memory behind what a walk writes, which the machine must not see. Entries of 2-level guests have 4 bytes. */
class Behind extends Map<bigint, bigint> {
  readonly #world: Machine['world'];
  readonly #halves: boolean;

  constructor(m: Machine, halves: boolean) {
    super();
    this.#world = m.world;
    this.#halves = halves;
  }

  override get(at: bigint): bigint {
    const written = super.get(at);
    if (written !== undefined) return written;
    const word = this.#world.word(Number(at >> 3n));
    if (!this.#halves || at >= HOST_TABLES) return word;
    return bit(at, 2) ? field(word, 63, 32) : field(word, 31, 0);
  }
}

function uncachedEnd(m: Machine, request: Translated): string {
  if (m.settings.cpu === 'arm64') return armEnd(m, request);
  const guest = x86Request(m, request);
  const memory = new Behind(m, modeOf(guest) === '2level');
  const levels = LEVELS[m.settings.host] ?? 4;
  const { cpu } = m.settings;
  if (cpu === 'svm')
    return naiveText(
      walkNpt(guest, { ncr3: HOST_TABLES, levels, nxe: true, maxPhyAddr: MAXPHYADDR }, memory),
    );
  const marks = m.settings['ept-ad'] === 'on' ? 1n << 6n : 0n;
  const eptp = HOST_TABLES | marks | (BigInt(levels - 1) << 3n) | 6n;
  const ept = { eptp, executeOnly: true, gigabytePages: true, maxPhyAddr: MAXPHYADDR };
  return naiveText(walkGuestOverEpt(guest, ept, memory));
}

/** AMD's processors read the root entries of PAE from memory while they walk, Intel's keep them in registers. */
function x86Request(m: Machine, { gva, access, user }: Translated): X86Request {
  const request = {
    cr0: m.reg('cr0'),
    cr3: m.reg('cr3'),
    cr4: m.reg('cr4'),
    efer: m.reg('efer'),
    pkru: Number(m.reg('pkru')),
    pkrs: Number(m.reg('pkrs')),
    ac: m.reg('ac') === 1n,
    cpl: user ? 3 : 0,
    access: KINDS[access],
    va: gva,
    maxPhyAddr: MAXPHYADDR,
  };
  if (m.settings.cpu === 'svm') return request;
  return { ...request, pdptes: [0, 1, 2, 3].map((index) => m.reg(`pdptr${String(index)}`)) };
}

function armEnd(m: Machine, { gva, access, user }: Translated): string {
  const outcome = walkArm(
    {
      vtcr: m.reg('vtcr_el2'),
      vttbr: m.reg('vttbr_el2'),
      hcr: m.reg('hcr_el2'),
      sctlr: m.reg('sctlr_el1'),
      tcr: m.reg('tcr_el1'),
      ttbr0: m.reg('cr3'),
      pan: m.reg('pan') === 1n,
      el: user ? 0 : 1,
      access: KINDS[access],
      va: gva,
      paBits: ARM_PA_BITS,
    },
    new Behind(m, false),
  );
  return naiveArmText(outcome);
}
