import { describe, expect, test } from 'vitest';
import type { Operation } from '../core/operations/operation.ts';
import { planOf } from '../testing/scenarios.ts';
import { checkScenario, planScenario } from './plan.ts';

const textOf = (machine: string, ...lines: string[]): string =>
  ['mmuscope 1', `machine ${machine}`, 'slot 0x0 64M', ...lines].join('\n');

describe('tables in the format of the guest', () => {
  const entry = (text: string, gpa: number): string => {
    const word = planOf(text).program.memory.find(
      (candidate) => candidate.gfn === gpa >> 12 && candidate.index === (gpa & 0xfff) >> 3,
    );
    return `0x${(word?.value ?? 0n).toString(16)}`;
  };
  const map = 'map 0x400000 -> gfn 0x21 rw user accessed dirty';
  const frames = (text: string): readonly (readonly [number, number])[] =>
    planOf(text).program.tables.map((table) => [table.gfn, table.level]);

  test('5-level: a table more', () => {
    const text = textOf(
      'native guest=5-level',
      'map 0xff11000000000000 -> gfn 0x21 ro kernel key=3',
      'begin',
      'v0 cpuid',
    );
    expect(frames(text).map(([, level]) => level)).toEqual([5, 4, 3, 2, 1]);
    expect(entry(text, 0x10000 + 0x111 * 8)).toBe('0x11023');
    expect(entry(text, 0x14000)).toBe('0x1800000000021001');
  });
  test('pae: the root entries carry P alone', () => {
    const text = textOf('native guest=pae', map, 'begin', 'v0 cpuid');
    expect(frames(text).map(([, level]) => level)).toEqual([3, 2, 1]);
    expect([0x10000, 0x11010, 0x12000].map((gpa) => entry(text, gpa))).toEqual([
      '0x11001',
      '0x12027',
      '0x21067',
    ]);
  });
  test('2-level: two entries share a word', () => {
    const text = textOf('native guest=2-level', map, 'map 0x401000 -> gfn 0x22 ro user', 'begin', 'v0 cpuid');
    expect(frames(text).map(([, level]) => level)).toEqual([2, 1]);
    expect(entry(text, 0x10000)).toBe('0x1102700000000');
    expect(entry(text, 0x11000)).toBe('0x2200500021067');
  });
  test('2-level: a page of 4 MiB above 4 GiB keeps its high bits in the middle', () => {
    const text = textOf(
      'native guest=2-level',
      'map 0x400000 level=2 -> gfn 0x100400 rw user',
      'begin',
      'v0 cpuid',
    );
    expect(entry(text, 0x10000)).toBe('0x40208700000000');
  });
  test('arm64: levels count down to 3', () => {
    const text = textOf('native cpu=arm64 guest=3-level', map, 'begin', 'v0 cpuid');
    expect(frames(text)).toEqual([
      [0x10, 1],
      [0x11, 2],
      [0x12, 3],
    ]);
    expect([0x10000, 0x11010, 0x12000].map((gpa) => entry(text, gpa))).toEqual([
      '0x11003',
      '0x12003',
      '0x21f43',
    ]);
  });
  test('arm64: a block of 2 MiB', () => {
    const text = textOf(
      'native cpu=arm64',
      'map 0x400000 level=2 -> gfn 0x400 ro kernel nx',
      'begin',
      'v0 cpuid',
    );
    expect(entry(text, 0x12010)).toBe('0x60000000400b81');
  });
  test('nonpaging: none', () => {
    const { program } = planOf(textOf('native guest=nonpaging', 'begin', 'v0 user read 0x1000'));
    expect([program.root, program.tables, program.memory]).toEqual([0, [], []]);
  });
  test('half a word', () => {
    const text = textOf('native', 'entry 0x40004 = 0xabcd bytes=4', 'begin', 'v0 cpuid');
    expect(entry(text, 0x40000)).toBe('0xabcd00000000');
  });
  test('a guest that a link chooses gets tables of its own', () => {
    const result = planScenario(textOf('native', map, 'begin', 'v0 cpuid'), { guest: 'pae' });
    expect(result.kind === 'ok' ? result.plan.program.tables.length : result.problems).toBe(3);
  });
  test('set-pte stores an entry of the size of the format', () => {
    const window = 'map 0xc0000000 -> table-of 0x400000 rw kernel';
    const store = 'v0 kernel set-pte 0x401000 -> gfn 0x22 rw user';
    const { body } = planOf(textOf('native guest=2-level', map, window, 'begin', store)).program;
    expect(body[0]?.operation).toMatchObject({ bytes: 4, gva: 0xc0000004n, value: 0x22007n });
  });
  test('another space shares the upper half', () => {
    const text = textOf(
      'native guest=2-level',
      'map 0xc0000000 -> absent',
      'space B kernel=main',
      'begin',
      'v0 kernel load-cr3 B',
    );
    expect(planOf(text).program.body[0]?.operation).toMatchObject({ kind: 'load-cr3', root: 0x12 });
    expect(entry(text, 0x12000 + 768 * 4)).toBe('0x11027');
  });
});

const INTEL = 'two-stage cpu=vmx-vpid';
const AMD = 'two-stage cpu=svm';
const ARM = 'two-stage cpu=arm64';

describe('what a line asks for', () => {
  test.each<[string, string, Record<string, unknown>]>([
    [INTEL, 'v0 kernel invlpg 0x1000', { kind: 'invlpg', gva: 0x1000n }],
    [INTEL, 'v0 kernel invpcid address 0x1000 pcid=2', { name: 'invpcid-address', address: 0x1000n, tag: 2 }],
    [INTEL, 'v0 kernel invpcid single', { name: 'invpcid-single', tag: 0 }],
    [INTEL, 'v0 kernel invpcid all', { name: 'invpcid-all' }],
    [INTEL, 'v0 kernel invpcid all-nonglobal', { name: 'invpcid-all-nonglobal' }],
    [INTEL, 'v0 kernel load-cr3 main pcid=3 keep', { kind: 'load-cr3', root: 0x10, pcid: 3, keep: true }],
    [INTEL, 'v0 kernel load-cr3 gfn 0x10', { kind: 'load-cr3', root: 0x10 }],
    [INTEL, 'v0 kernel set pkru = 0xc', { register: 'pkru', mask: 0xffffffffn, value: 0xcn }],
    [INTEL, 'v0 kernel set ac = 1', { register: 'ac', mask: 1n, value: 1n }],
    [INTEL, 'v0 kernel set cr4.smep = 1', { register: 'cr4', mask: 1n << 20n, value: 1n << 20n }],
    [INTEL, 'host invept single', { kind: 'invalidate', name: 'invept-single' }],
    [INTEL, 'host invvpid address 0x1000', { name: 'invvpid-address', address: 0x1000n, tag: 1 }],
    [INTEL, 'host invvpid single-keep-globals vpid=2', { name: 'invvpid-single-keep-globals', tag: 2 }],
    [AMD, 'host invlpga 0x1000 asid=5', { name: 'invlpga', address: 0x1000n, tag: 5 }],
    [AMD, 'host tlb-control asid-nonglobal', { name: 'tlb-control-asid-nonglobal' }],
    [ARM, 'v0 kernel tlbi vae1is 0x1000', { name: 'tlbi-vae1is', address: 0x1000n }],
    [ARM, 'v0 kernel tlbi vmalle1', { name: 'tlbi-vmalle1' }],
    [ARM, 'v0 kernel load-ttbr0 main asid=7', { kind: 'load-cr3', root: 0x10, pcid: 7 }],
    [ARM, 'host tlbi ipas2e1is 0x21000', { name: 'tlbi-ipas2e1is', address: 0x21000n }],
    [ARM, 'host tlbi vmalls12e1is', { name: 'tlbi-vmalls12e1is' }],
    [AMD, 'host set-entry 0x21000 -> absent', { gpa: 0x21000n, level: 1, change: { kind: 'absent' } }],
    [
      INTEL,
      'host set-entry 0x200000 level=2 -> frame 0x400 read exec',
      {
        level: 2,
        change: { kind: 'page', frame: 0x400, rights: { read: true, write: false, execute: true } },
      },
    ],
    [ARM, 'host set-entry 0x21000 -> raw 0x7ff', { level: 3, change: { kind: 'raw', value: 0x7ffn } }],
    [INTEL, 'flip host 0x21000 bit=1', { kind: 'flip', place: 'host', gpa: 0x21000n, level: 1, bit: 1 }],
    [INTEL, 'flip host 0x21000 level=3 bit=1', { kind: 'flip', place: 'host', level: 3 }],
    [ARM, 'flip register vtcr_el2 bit=21', { place: 'register', register: 'vtcr_el2', bit: 21 }],
    ['native guest=pae', 'flip register pdpte3 bit=0', { place: 'register', register: 'pdpte3', bit: 0 }],
  ])('%s: %s', (machine, line, expected) => {
    const text = textOf(machine, 'map 0x1000 -> absent', 'begin', line);
    const operation: Operation | undefined = planOf(text).program.body[0]?.operation;
    expect(operation).toMatchObject(expected);
  });
  test.each([
    ['fault', { kind: 'fault' }],
    ['fault=0x5', { kind: 'fault', code: 5n }],
    ['no fault', { kind: 'no-fault' }],
    ['host-fault', { kind: 'host-fault' }],
    ['host-fault=0x181', { kind: 'host-fault', code: 0x181n }],
    ['no host-fault', { kind: 'no-host-fault' }],
    ['physical=0x21010', { kind: 'physical', address: 0x21010n }],
  ])('expect %s', (words, expected) => {
    const text = textOf(INTEL, 'begin', 'v0 user read 0x1000', `expect ${words} when tlb=4`);
    expect(planOf(text).expectations).toEqual([]);
    expect(planOf(text, { tlb: '4' }).expectations[0]).toMatchObject({
      expectation: expected,
    });
  });
});

describe('problems have a place and a remedy', () => {
  const said = (text: string): readonly string[] =>
    checkScenario(text).map((p) => `${String(p.line)}:${String(p.column)} ${p.message} | ${p.remedy}`);
  test.each<[string, string, string]>([
    [
      'native',
      'policy gpte-write=zap',
      '4:8 gpte-write means nothing on machine native | Leave it out, or write: machine kvm-2007.',
    ],
    [
      'native host-pages=2M',
      '',
      '2:16 host-pages means nothing on machine native | Leave it out, or write: machine two-stage.',
    ],
    [
      'two-stage cpu=svm ept-ad=off',
      '',
      '2:27 ept-ad means nothing with cpu=svm | Leave it out, or write: cpu=vmx-novpid.',
    ],
    [
      'kvm-2007 cpu=arm64',
      '',
      '2:22 cpu=arm64 does not fit machine kvm-2007 | Use one of: cpu=vmx-novpid, cpu=svm, cpu=vmx-vpid.',
    ],
    [
      'native guest=3-level',
      '',
      '2:22 guest=3-level does not fit cpu=vmx-novpid | Use one of: guest=4-level, guest=5-level, guest=pae, guest=2-level, guest=nonpaging.',
    ],
    [
      'native',
      'try "Zap" gpte-write=zap',
      '4:11 gpte-write means nothing on machine native | Leave it out, or write: machine kvm-2007.',
    ],
    [
      'native guest=pae',
      'try "Arm" cpu=arm64',
      '4:1 Here guest=pae does not fit cpu=arm64 | Use one of: guest=4-level, guest=3-level, guest=nonpaging.',
    ],
    [
      'native guest=pae',
      'map 0x100000000 -> absent',
      '4:1 0x100000000 is above 4 GiB, and this guest has addresses of 32 bits | Use an address below 0x100000000.',
    ],
    [
      'native guest=5-level',
      'map 0x100000000000000 -> absent',
      '4:1 0x100000000000000 is not canonical: bits 63 to 56 are not all equal | Use an address below 0x100000000000000 or from 0xff00000000000000 up.',
    ],
    [
      'native cpu=arm64 guest=3-level',
      'map 0x8000000000 -> absent',
      '4:1 0x8000000000 has more than 39 bits, and only the lower half of the addresses is modelled | Use an address below 0x8000000000.',
    ],
    [
      'native guest=nonpaging',
      'map 0x1000 -> absent',
      '4:1 Paging is off with guest=nonpaging, so there are no tables | Remove the line, or choose another guest.',
    ],
    [
      'native',
      'map 0x400000 level=2 -> gfn 0x401 rw user',
      '4:25 Frame 0x401 does not begin a page of 2 MiB | Use a multiple of 0x200, for example 0x400.',
    ],
    [
      'native',
      'map 0x400000 level=4 -> gfn 0x400 rw user',
      '4:25 An entry of level 4 names a table, not a page, on this machine | Write: -> table, or level=1, 2 or 3.',
    ],
    [
      'kvm-2007',
      'map 0x400000 level=3 -> gfn 0x40000 rw user',
      '4:25 An entry of level 3 names a table, not a page, on this machine | Write: -> table, or level=1 or 2.',
    ],
    ['native', 'map 0x400000 level=5 -> absent', '4:20 the level is 5 | Write a number from 1 to 4.'],
    [
      'native cpu=arm64 guest=3-level',
      'map 0x400000 level=0 -> absent',
      '4:20 the level is 0 | Write a number from 1 to 3.',
    ],
    [
      'native guest=2-level',
      'map 0x400000 -> gfn 0x100000 rw user',
      '4:17 Frame 0x100000 does not fit an entry of 4 bytes | Use a frame below 0x100000.',
    ],
    [
      'native guest=2-level',
      'map 0x400000 -> gfn 0x21 rw user nx',
      '4:34 An entry of 4 bytes has no bit for nx | Leave nx out, or use guest=pae.',
    ],
    [
      'native guest=pae',
      'map 0x400000 -> gfn 0x21 rw user key=2',
      '4:34 Entries have no protection key on this machine | Leave key= out, or use machine native with guest=4-level.',
    ],
    [
      'native',
      'map 0x400000 -> gfn 0x21 rw user key=16',
      '4:38 the key is 16 | Write a number from 0 to 15.',
    ],
    [
      'native',
      'entry 0x40002 = 1 bytes=4',
      '4:1 An entry lies at a multiple of 4, below 256M | Correct the address.',
    ],
    [
      'native',
      'entry 0x40000 = 0x100000000 bytes=4',
      '4:17 0x100000000 does not fit 4 bytes | Write at most 8 hex digits, or leave bytes=4 out.',
    ],
    [
      'native guest=pae',
      'begin\nv0 user read 0x100000000',
      '5:1 0x100000000 is above 4 GiB, and this guest has addresses of 32 bits | Use an address below 0x100000000.',
    ],
    [
      'native cpu=arm64',
      'begin\nv0 kernel invlpg 0x1000',
      '5:1 invlpg does not exist with cpu=arm64 | Use one of: tlbi vae1is, tlbi vmalle1is, tlbi vmalle1.',
    ],
    [
      'native',
      'begin\nv0 kernel tlbi vmalle1',
      '5:1 tlbi vmalle1 does not exist with cpu=vmx-novpid | Use one of: invlpg, invpcid address, invpcid single, invpcid all, invpcid all-nonglobal.',
    ],
    [
      'two-stage cpu=svm',
      'begin\nhost invept all',
      '5:1 invept all does not exist with cpu=svm | Use one of: host invlpga, host tlb-control all, host tlb-control asid, host tlb-control asid-nonglobal.',
    ],
    [
      'native',
      'begin\nhost invept all',
      '5:1 There is no hypervisor on machine native | Use machine two-stage.',
    ],
    [
      'kvm-2007',
      'begin\nhost invept all',
      '5:1 On kvm-2007 the hypervisor acts by itself | Remove the line. Use machine two-stage.',
    ],
    [
      'kvm-2007',
      'begin\nv0 kernel invpcid all',
      '5:1 invpcid all does not exist on kvm-2007: its processors are older | Use invlpg or load-cr3.',
    ],
    [
      'kvm-2007',
      'begin\nv0 kernel set pkru = 1',
      '5:1 pkru does not exist on kvm-2007: its processors are older | Use machine native or two-stage.',
    ],
    [
      'kvm-2007',
      'begin\nv0 kernel load-cr3 main pcid=1',
      '5:1 pcid= does not exist on kvm-2007: its processors are older | Leave pcid= and keep out.',
    ],
    [
      'native guest=pae',
      'begin\nv0 kernel load-cr3 main keep',
      '5:1 Address spaces have no PCID with guest=pae | Leave pcid= and keep out, or use guest=4-level.',
    ],
    [
      'native cpu=arm64',
      'begin\nv0 kernel load-cr3 main',
      '5:1 load-cr3 does not exist with cpu=arm64 | Write load-ttbr0.',
    ],
    [
      'native',
      'begin\nv0 kernel load-ttbr0 main',
      '5:1 load-ttbr0 does not exist with cpu=vmx-novpid | Write load-cr3.',
    ],
    [
      'native cpu=arm64',
      'begin\nv0 kernel set cr0.wp = 0',
      '5:1 cr0 is a register of x86 | Write a bit of one of arm64: flip register sctlr_el1 bit=19.',
    ],
    [
      'native',
      'begin\nv0 kernel set pkru = 0x100000000',
      '5:22 pkru has 32 bits, and 0x100000000 does not fit | Write at most 8 hex digits.',
    ],
    ['native', 'begin\nv0 kernel set ac = 2', '5:20 ac has 1 bit, and 0x2 does not fit | Write 0 or 1.'],
    [
      'native',
      'begin\nv0 user invpcid all',
      '5:9 invpcid is for the kernel only | Write: v0 kernel invpcid ...',
    ],
    [
      'native',
      'begin\nv0 kernel invpcid some',
      '5:19 Found "some" where a form of invpcid was expected | Write one of: address, single, all, all-nonglobal.',
    ],
    [
      'native',
      'begin\nhost set-entry 0x1000 -> absent',
      '5:1 There is no hypervisor on machine native | Use machine two-stage.',
    ],
    [
      INTEL,
      'begin\nhost set-entry 0x1000 -> frame 0x21',
      '5:36 The entry does not say what the guest may do | Add read, write or exec.',
    ],
    [
      INTEL,
      'begin\nhost set-entry 0x1000 level=4 -> frame 0x21 read',
      '5:34 An entry of level 4 names a table, not a page | Write level=1, 2 or 3, or raw and a value.',
    ],
    [
      INTEL,
      'begin\nhost set-entry 0x1000 level=2 -> frame 0x21 read',
      '5:34 Frame 0x21 does not begin a page of 2 MiB | Use a multiple of 0x200, for example 0x200.',
    ],
    [
      INTEL,
      'begin\nhost set-entry 0x10000000000 -> absent',
      '5:1 0x10000000000 is no guest physical address: they have 40 bits | Use an address below 0x10000000000.',
    ],
    [
      AMD,
      'begin\nhost set-entry 0x1000 -> frame 0x21 exec',
      '5:26 A nested entry of AMD cannot forbid reading | Add read.',
    ],
    [
      INTEL,
      'begin\nhost set-entry 0x1000 absent',
      '5:23 Found "absent" where -> was expected | Write: host set-entry <address> -> <target>.',
    ],
    [
      'native',
      'begin\nflip shadow 0x1000 bit=1',
      '5:1 There are no shadow tables on machine native | Write: flip 0x10000 bit=1.',
    ],
    [
      'native cpu=arm64',
      'begin\nflip register vtcr_el2 bit=1',
      '5:1 This machine keeps no register vtcr_el2 | Use one of: sctlr_el1, tcr_el1, ttbr0_el1, pan.',
    ],
    [
      'two-stage cpu=svm guest=pae',
      'begin\nflip register pdpte0 bit=1',
      '5:1 This machine keeps no register pdpte0 | Write a register of it: v0 kernel set cr0.wp = 0.',
    ],
    ['native cpu=arm64', 'begin\nflip register pan bit=1', '5:23 the bit is 1 | Write 0.'],
    [
      'native cpu=arm64',
      'begin\nflip register tcr_el2 bit=1',
      '5:15 Found "tcr_el2" where a register was expected | Did you mean tcr_el1?',
    ],
    [
      'kvm-2007',
      'begin\nflip host 0x1000 bit=1',
      '5:1 On kvm-2007 the hypervisor acts by itself | Remove the line. Use machine two-stage.',
    ],
    [
      'native',
      'begin\nv0 cpuid\nexpect no luck',
      '6:11 Found "luck" where violation, harm, fault, host-fault or dirty was expected | Write one of: violation, harm, fault, host-fault, dirty.',
    ],
  ])('%s: %s', (machine, lines, expected) => {
    const text = textOf(
      machine,
      ...(lines === '' ? [] : [lines]),
      ...(lines.includes('begin') ? [] : ['begin', 'v0 cpuid']),
    );
    expect(said(text)).toEqual([expected]);
  });
  test('a link may choose what means nothing here, but nothing that does not fit', () => {
    const text = textOf('native guest=pae', 'begin', 'v0 cpuid');
    expect(planScenario(text, { flush: 'never' })).toMatchObject({
      kind: 'ok',
      plan: { program: { settings: { flush: 'always' } } },
    });
    expect(planScenario(text, { cpu: 'arm64' })).toMatchObject({
      problems: [{ line: 0, message: 'guest=pae does not fit cpu=arm64' }],
    });
  });
});
