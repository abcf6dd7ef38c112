import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { catalogueText, RUNS } from '../testing/scenarios.ts';
import { explainAt, offersAt } from './assist.ts';

/** The text with a bar where the cursor stands. */
function offered(marked: string): readonly string[] {
  const offset = marked.indexOf('|');
  return offersAt(marked.replace('|', ''), offset).offers.map((offer) => offer.text);
}
const HEAD =
  'mmuscope 1\nslot 0x0 64M\nlet V = 0x1000\nmap V -> absent\nmap 0x2000 -> absent\nspace B kernel=main\n';

const SMP = 'mmuscope 1\nmachine kvm-2007 era=2007c vcpus=2\nslot 0x0 64M\n';
const TWO = 'mmuscope 1\nmachine two-stage cpu=vmx-vpid\nslot 0x0 64M\n';
const ARM = 'mmuscope 1\nmachine native cpu=arm64 guest=3-level\nslot 0x0 64M\n';

describe('what may stand there', () => {
  test.each([
    ['statements at the beginning of a line', `${HEAD}|`, 'begin'],
    ['machines', 'machine era=|', '2007b'],
    ['policies by name', 'policy fl|', 'flush='],
    ['values of a policy', 'policy flush=|', 'never'],
    ['values that are being written', 'policy flush=ne|', 'never'],
    ['who acts', 'v0 |', 'kernel'],
    ['operations', 'v0 user |', 'read'],
    ['names in scope', `${HEAD}v0 user read |`, 'V'],
    ['addresses in use', `${HEAD}v0 user read |`, '0x2000'],
    ['targets of an entry', `${HEAD}v0 kernel set-pte V -> |`, 'gfn'],
    ['flags', 'map 0x1000 -> gfn 0x1 |', 'rw'],
    ['address spaces', `${HEAD}v0 kernel load-cr3 |`, 'B'],
    ['counters', 'expect ex|', 'exits='],
    ['settings of a condition', 'expect exits=1 when |', 'flush='],
    ['calls', 'note at |', 'rmap_write_protect'],
    ['register bits', 'v0 kernel set |', 'cr0.wp = '],
    ['what the hypervisor does', `${TWO}host |`, 'set-entry'],
    ['what the hypervisor invalidates', `${TWO}host |`, 'invvpid'],
    ['forms of an invalidation', `${TWO}host invvpid |`, 'single-keep-globals'],
    ['targets of a host entry', `${TWO}host set-entry 0x1000 -> |`, 'raw'],
    ['rights of a host entry', `${TWO}host set-entry 0x1000 -> frame 1 |`, 'exec'],
    ['forms for the guest', `${TWO}v0 kernel invpcid |`, 'all-nonglobal'],
    ['registers of bare machines', `${TWO}v0 kernel set |`, 'pkru = '],
    ['keys of bare machines', `${TWO}map 0x1000 -> gfn 0x1 |`, 'key='],
    ['faults of the host', `${TWO}expect |`, 'host-fault'],
    ['settings of bare machines', `${TWO}machine two-stage ps|`, 'psc='],
    ['values that fit the machine', `${TWO}machine two-stage psc=|`, 'both'],
    ['words of arm64', `${ARM}v0 kernel |`, 'load-ttbr0'],
    ['forms of arm64', `${ARM}v0 kernel tlbi |`, 'vmalle1'],
    ['registers that a flip reaches', `${ARM}flip register |`, 'tcr_el1 bit='],
    ['what the host does on kvm-2007', `${HEAD}host |`, 'fetch-log'],
    ['the slot of a log', `${HEAD}host log |`, 'slot='],
    ['states of a log', `${HEAD}host log slot=0 |`, 'off'],
    ['what a log gave', `${HEAD}expect |`, 'dirty='],
    ['the other vCPUs', `${SMP}begin\n|`, 'v1'],
    ['what another vCPU does meanwhile', `${SMP}begin\nv0 cpuid\n  |`, 'at'],
    ['points at which it may', `${SMP}begin\nv0 cpuid\n  at |`, 'walk_addr/done:'],
    ['which one', `${SMP}begin\nv0 cpuid\n  at walk_addr/done: |`, 'v1'],
    ['what it does there', `${SMP}begin\nv0 cpuid\n  at walk_addr/done: v1 user |`, 'write'],
    ['flushes by the host', `${SMP}begin\nhost |`, 'flush-all'],
    ['ends of a handler', 'begin\nv0 user read 0x1\n  on #PF\n    |', 'retry'],
  ])('%s', (_name, text, expected) => {
    expect(offered(text)).toContain(expected);
  });
  test.each([
    ['statements of a host', 'mmuscope 1\nmachine native\n|', 'host'],
    ['two-stage only', `${HEAD}host |`, 'set-entry'],
    ['kvm-2007 only', `${TWO}host |`, 'log'],
    ['bare machines only', `${HEAD}v0 kernel |`, 'invpcid'],
    ['arm64 only', `${TWO}v0 kernel |`, 'tlbi'],
    ['AMD only', `${TWO}host |`, 'invlpga'],
    ['x86 only', `${ARM}v0 kernel |`, 'load-cr3'],
    ['the hypervisor only', `${ARM}v0 kernel tlbi |`, 'alle1is'],
    ['settings of KVM', `${TWO}policy |`, 'flush='],
    ['values of bare machines', `${HEAD}machine kvm-2007 guest=|`, '5-level'],
  ])('not what is for %s', (_name, text, unwanted) => {
    expect(offered(text)).not.toContain(unwanted);
  });
  test.each([
    ['in a text in quotes', 'note "exi|"'],
    ['in a comment', 'begin # exi|'],
  ])('nothing %s', (_name, text) => {
    expect(offered(text)).toEqual([]);
  });
});

describe('what a word means', () => {
  const meaning = (text: string, word: string): string | undefined =>
    explainAt(text, text.lastIndexOf(word) + 1)?.meaning;
  test.each([
    ['policy flush=never', 'flush', 'When write-protecting'],
    ['policy flush=never', 'never', 'nowhere'],
    [`${HEAD}v0 user read V`, 'V', 'PT 001'],
    ['v0 user read 0x7f3c5a823010', '0x7f3c5a823010', 'offset 010'],
    ['map 0x1000 -> gfn 0x20 rw', '0x20', 'guest address 0x20000'],
    ['expect exits=3', 'exits', 'left the guest'],
    ['expect violation INV-6', 'INV-6', 'TLB entry'],
    ['host fetch-log slot=0', 'fetch-log', 'written since the last fetch'],
    ['expect dirty=0x20', 'dirty', 'last fetch of the dirty log'],
    [`${TWO}host invept single`, 'single', 'current EPT tables'],
    [`${TWO}host set-entry 0x1000 -> frame 0x20 read`, '0x20', 'host address 0x20000'],
    [`${ARM}v0 user read 0x40201010`, '0x40201010', 'level 1 001, level 2 001, level 3 001, offset 010'],
    ['machine native guest=pae\nv0 user read 0xc0401010', '0xc0401010', 'PDPT 3, PD 002, PT 001, offset 010'],
    ['machine native guest=nonpaging\nv0 user read 0xc0401010', '0xc0401010', 'page c0401, offset 010'],
  ])('%s: %s', (text, word, expected) => {
    expect(meaning(text, word)).toContain(expected);
  });
});

test('helps at any place of any text without an exception', () => {
  const text = catalogueText('stale-tlb');
  fc.assert(
    fc.property(fc.nat(text.length), fc.string({ maxLength: 8 }), (at, insert) => {
      const changed = text.slice(0, at) + insert + text.slice(at);
      const { from } = offersAt(changed, at + insert.length);
      expect(from).toBeLessThanOrEqual(at + insert.length);
      explainAt(changed, at);
    }),
    { numRuns: RUNS },
  );
});
