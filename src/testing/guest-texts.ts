/** Small scenarios for a KVM of 2007 with guests of every kind: for tests of what is shown of them. */

const text = (machine: string, lines: readonly string[]): string =>
  ['mmuscope 1', 'title A guest of its time', `machine kvm-2007 ${machine}`, 'slot 0x0 64M', ...lines].join(
    '\n',
  );

const many = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `0x${(0x400000 + at * 0x400000).toString(16)}`);

export const GUEST_TEXTS = {
  '2-level': text('guest=2-level', [
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0x7ff000 -> gfn 0x201 rw user accessed dirty',
    'map 0xc0400000 -> gfn 0x202 rw user accessed dirty',
    'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
    'begin',
    'v0 user write 0x400000 = 1',
    'v0 user read 0x7ff000',
    'v0 user read 0xc0400000',
    'v0 kernel set-pte 0x7ff000 -> gfn 0x203 rw user accessed dirty',
    'v0 kernel invlpg 0x7ff000',
    'v0 user read 0x7ff000',
  ]),
  '2-level, 4 MiB page': text('guest=2-level', [
    'map 0xc0000000 level=2 -> gfn 0x800 rw user accessed dirty',
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0x80000000 -> table-of 0x400000 level=2 rw kernel accessed dirty',
    'begin',
    'v0 user write 0xc0001000 = 1',
    'v0 user read 0xc0201000',
    'v0 kernel set-pte 0xc0000000 level=2 -> gfn 0xc00 rw user accessed dirty',
    'v0 kernel invlpg 0xc0000000',
    'v0 user read 0xc0201000',
  ]),
  PAE: text('guest=pae', [
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0x40000000 -> gfn 0x201 rw user accessed dirty',
    'map 0xc0000000 level=2 -> gfn 0x400 rw user accessed dirty',
    'space B kernel=main',
    'begin',
    'v0 user write 0x400000 = 1',
    'v0 user read 0x40000000',
    'v0 user read 0xc0001000',
    'v0 kernel load-cr3 B',
    'v0 kernel load-cr3 main',
  ]),
  nonpaging: text('guest=nonpaging', [
    'begin',
    'v0 kernel write 0x200000 = 1',
    'v0 kernel read 0x400000',
    'v0 kernel read 0x401000',
  ]),
  'paging turned on': text('guest=nonpaging', [
    'entry 0x10004 = 0x11027 bytes=4',
    'entry 0x11000 = 0x200067 bytes=4',
    'entry 0x11040 = 0x10067 bytes=4',
    'entry 0x11044 = 0x11067 bytes=4',
    'begin',
    'v0 kernel write 0x200000 = 1',
    'v0 kernel set cr3 = 0x10000',
    'v0 kernel set cr0.pg = 1',
    'v0 kernel read 0x400000',
    'v0 kernel write 0x410008 = 0x1000',
  ]),
  '2 MiB page': text('guest=4-level', [
    'map 0x40000000 level=2 -> gfn 0x400 rw user accessed dirty',
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0xffff880000013000 -> table-of 0x400000 rw kernel accessed dirty',
    'begin',
    'v0 user write 0x40001000 = 1',
    'v0 user read 0x40003000',
    'v0 user read 0x400000',
  ]),
  'two large pages of one frame': text('guest=2-level era=2007b', [
    'map 0xc0000000 level=2 -> gfn 0x800 ro user accessed dirty',
    'map 0xc0400000 level=2 -> gfn 0x800 rw user accessed dirty',
    'begin',
    'v0 user read 0xc0001000',
    'v0 user write 0xc0401000 = 1',
  ]),
  '2007c': text('guest=pae era=2007c', [
    'map 0x400000 -> gfn 0x200 rw user accessed dirty nx',
    'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
    'begin',
    'v0 user read 0x400000',
    'v0 kernel set-pte 0x400000 -> gfn 0x201 rw user accessed dirty',
    'v0 user read 0x400000',
  ]),
  'many writers': text('guest=2-level', [
    ...Array.from(
      { length: 6 },
      (_, at) => `map 0x${(0x400000 + at * 0x400000).toString(16)} -> gfn 0x200 rw user accessed dirty`,
    ),
    'begin',
    ...Array.from({ length: 6 }, (_, at) => `v0 user write 0x${(0x400000 + at * 0x400000).toString(16)} = 1`),
  ]),
  'fork in PAE': text('guest=pae', [
    'map 0x400000 -> gfn 0x200 rw user accessed dirty',
    'map 0x80000000 -> table-of 0x400000 rw kernel accessed dirty',
    'begin',
    'v0 user read 0x400000',
    'v0 kernel write 0x80000100 = 0',
    'v0 kernel write 0x80000108 = 0',
    'v0 kernel write 0x80000110 = 0',
  ]),
  'sixty tables': text('guest=2-level', [
    ...many(28).map(
      (address, at) => `map ${address} -> gfn 0x${(0x200 + at).toString(16)} rw user accessed dirty`,
    ),
    'begin',
    ...many(28).map((address) => `v0 user read ${address}`),
    'v0 user write 0x400000 = 1',
  ]),
} as const satisfies Readonly<Record<string, string>>;

export type GuestText = keyof typeof GUEST_TEXTS;
