/** The second stage of a `two-stage` machine, in the format of its processor, with or without caches for its tables. */
import type { Translated } from '../engine.ts';
import { armStage } from '../hardware/arm-walk.ts';
import { stage2Format, type Stage2Rights } from '../hardware/arm-format.ts';
import { eptFormat, type EptRights } from '../hardware/ept-format.ts';
import type { PathRights } from '../hardware/fault.ts';
import { structureCache } from '../hardware/psc.ts';
import { PHYSICAL_BITS } from '../hardware/registers.ts';
import { eptStage, nptStage, type HostCaches, type SecondStage } from '../hardware/second-stage.ts';
import { x86Format } from '../hardware/x86-format.ts';
import type { Machine } from '../machine/machine.ts';
import { agrees } from './agreement.ts';
import { armHostStage } from './arm-registers.ts';
import { hostRegistersText, isNested, NATIVE_BASE, stageTag } from './ground.ts';
import { HOST_ROOT, hostKindOf } from './host-tables.ts';

/** Whether caches may be asked, or the tables alone. */
export type How = 'cached' | 'fresh';

/** Undefined where the second stage is off. */
export function stageOf(m: Machine, request: Translated, how: How): SecondStage | undefined {
  const cached = how === 'cached' && m.settings.psc === 'both';
  const { access } = request;
  switch (hostKindOf(m.settings)) {
    case 'npt': {
      const mode = m.settings.host === '5-level' ? '5-level' : '4-level';
      const options = { root: HOST_ROOT, mode, physicalBits: PHYSICAL_BITS, nxe: true } as const;
      const format = x86Format({ ...options, pse: true });
      return nptStage(
        options,
        access,
        cached ? hostCache<PathRights>(m, format, (c) => nptStage(options, access, c)) : undefined,
      );
    }
    case 'ept': {
      const options = eptOptions(m);
      const format = eptFormat(options);
      return eptStage(
        options,
        access,
        cached ? hostCache<EptRights>(m, format, (c) => eptStage(options, access, c)) : undefined,
      );
    }
    case 'arm': {
      const stage = armHostStage(m);
      if (stage === undefined) return undefined;
      const by = { access, el: request.user ? 0 : 1 } as const;
      const format = stage2Format(stage.format);
      return armStage(
        stage,
        by,
        cached ? hostCache<Stage2Rights>(m, format, (c) => armStage(stage, by, c)) : undefined,
      );
    }
  }
}

const eptOptions = (m: Machine): Parameters<typeof eptStage>[0] => ({
  root: HOST_ROOT,
  levels: m.settings.host === '5-level' ? 5 : 4,
  physicalBits: PHYSICAL_BITS,
  accessedDirty: m.settings['ept-ad'] === 'on',
  executeOnly: true,
  oneGiB: true,
});

/** The cache of the host's own tables, for each row of the guest's walk. */
function hostCache<Rights>(
  m: Machine,
  format: Parameters<typeof structureCache<Rights>>[1]['format'],
  stageWith: (caches: HostCaches<Rights>) => SecondStage,
): HostCaches<Rights> {
  return (use, gpa) =>
    structureCache<Rights>(m, {
      stage: 'host',
      tag: stageTag(m),
      under: hostRegistersText(m),
      format,
      row: use.row,
      agrees: (table) =>
        agrees<Rights>(
          m,
          (known) => {
            const trail = { words: [], values: [], counted: true };
            return stageWith(() => known).locate(m, gpa, { ...use, trail });
          },
          table,
        ),
    });
}

/** Memory as the system finds it at a guest physical address, for what is not translated by a walk of the guest. */
export function placeOf(m: Machine, gpa: bigint): bigint {
  if (!isNested(m)) return NATIVE_BASE + gpa;
  const stage = stageOf(m, { gva: 0n, access: 'read', user: false }, 'fresh');
  const use = { row: 0, forTable: false, trail: { words: [], values: [], counted: true } };
  const found = m.lookAside(() => stage?.locate(m, gpa, use));
  return found?.kind === 'ok' ? found.address : NATIVE_BASE + gpa;
}
