/** Every form of link ever published, and what it opens. It only grows. */
export interface PublishedLink {
  readonly name: string;
  readonly hash: string;
  readonly opens: Readonly<Record<string, unknown>>;
}

export const LINK_CORPUS: readonly PublishedLink[] = [
  {
    name: 'a scenario of the catalogue',
    hash: '#/s/three-exits',
    opens: { kind: 'catalogue', id: 'three-exits', settings: {} },
  },
  {
    name: 'at a step',
    hash: '#/s/stale-tlb?at=3.22',
    opens: { kind: 'catalogue', id: 'stale-tlb', at: { operation: '3', step: 22 } },
  },
  {
    name: 'at a step of given, with settings',
    hash: '#/s/stale-tlb?at=g2.5&flush=never&cpu=vmx-novpid',
    opens: {
      kind: 'catalogue',
      at: { operation: 'g2', step: 5 },
      settings: { flush: 'never', cpu: 'vmx-novpid' },
    },
  },
  {
    name: 'with a setting only',
    hash: '#/s/three-exits?gpte-write=update',
    opens: { kind: 'catalogue', settings: { 'gpte-write': 'update' } },
  },
  {
    name: 'at the beginning',
    hash: '#/s/three-exits?at=0.0',
    opens: { kind: 'catalogue', at: { operation: '0', step: 0 } },
  },
  {
    name: 'decoded once too rarely',
    hash: '#/s/three-exits%3Fat%3D1.5',
    opens: { kind: 'catalogue', id: 'three-exits', at: { operation: '1', step: 5 } },
  },
  {
    name: 'with a full stop behind it',
    hash: '#/s/three-exits?at=1.5.',
    opens: { kind: 'catalogue', at: { operation: '1', step: 5 } },
  },
  { name: 'in angle brackets', hash: '<#/s/three-exits>', opens: { kind: 'catalogue', id: 'three-exits' } },
  {
    name: 'with a check and a comparison',
    hash: '#/s/three-exits?c=GF4j&at=1.1&vs.gpte-write=update',
    opens: { kind: 'catalogue', check: 'GF4j', versus: { 'gpte-write': 'update' } },
  },
  {
    name: 'with a comparison of equals',
    hash: '#/s/three-exits?c=GF4j&at=1.1&vs=same',
    opens: { kind: 'catalogue', versus: {} },
  },
  {
    name: 'with a comparison whose second run has gone on alone',
    hash: '#/s/three-exits?c=GF4j&at=1.38&vs.gpte-write=update&b=2',
    opens: { kind: 'catalogue', versus: { 'gpte-write': 'update' }, beyond: 2 },
  },
  {
    name: 'with a table of runs',
    hash: '#/s/stale-tlb?c=GF4j&at=1.1&vary.cpu=svm,vmx-novpid&vary.flush=always,never',
    opens: {
      kind: 'catalogue',
      settings: {},
      varied: [
        { name: 'cpu', values: ['svm', 'vmx-novpid'] },
        { name: 'flush', values: ['always', 'never'] },
      ],
    },
  },
  {
    name: 'with an abbreviated table of runs',
    hash: '#/s/stale-tlb?c=GF4j&at=1.1&p=Wz&y=CsnFanBan2',
    opens: {
      kind: 'catalogue',
      settings: { 'gpte-write': 'zap' },
      varied: [
        { name: 'cpu', values: ['svm', 'vmx-novpid'] },
        { name: 'flush', values: ['always', 'never'] },
        { name: 'shipped-bugs', values: ['all', 'none', 'C-B2'] },
      ],
    },
  },
  {
    name: "with choices of the text's own, in both runs and in a table",
    hash: '#/s/eight-runs?c=GF4j&at=5.1&Path=cr3&vs.Path=fault&vary.cpu=svm,vmx-novpid&vary.Path=fault,cr3',
    opens: {
      kind: 'catalogue',
      settings: { Path: 'cr3' },
      versus: { Path: 'fault' },
      varied: [
        { name: 'cpu', values: ['svm', 'vmx-novpid'] },
        { name: 'Path', values: ['fault', 'cr3'] },
      ],
    },
  },
  {
    name: "with abbreviated settings and choices of the text's own",
    hash: '#/s/eight-runs?c=GF4j&at=5.1&p=FnPath.cr3&vs=Path.faultCn&y=CsnPath.fault.cr3Fan',
    opens: {
      kind: 'catalogue',
      settings: { flush: 'never', Path: 'cr3' },
      versus: { Path: 'fault', cpu: 'vmx-novpid' },
      varied: [
        { name: 'cpu', values: ['svm', 'vmx-novpid'] },
        { name: 'Path', values: ['fault', 'cr3'] },
        { name: 'flush', values: ['always', 'never'] },
      ],
    },
  },
  {
    name: 'with abbreviated settings',
    hash: '#/s/three-exits?c=aB3z&at=1.5&p=WuCnFoB236&vs=WuCnFnB236',
    opens: {
      kind: 'catalogue',
      settings: {
        'gpte-write': 'update',
        cpu: 'vmx-novpid',
        flush: 'on-fault',
        'shipped-bugs': 'C-B2,C-B3,C-B6',
      },
      versus: { 'gpte-write': 'update', cpu: 'vmx-novpid', flush: 'never', 'shipped-bugs': 'C-B2,C-B3,C-B6' },
    },
  },
  {
    name: "today's shadow MMU, with abbreviated settings and mistakes",
    hash: '#/s/changed-while-looking?c=aB3z&at=1.5&p=MsEdCsLsDgKk&vs=MsEeLaDeKbcdkijfgh',
    opens: {
      kind: 'catalogue',
      settings: {
        machine: 'kvm-shadow',
        era: '6.12',
        cpu: 'svm',
        'log-clear': 'apart-all-set',
        'mmio-without': 'generation',
        break: 'D-B5',
      },
      versus: {
        machine: 'kvm-shadow',
        era: '6.1',
        'log-clear': 'apart',
        'mmio-without': 'entries',
        break: 'D-B2,D-B3,D-B4,D-B5,I-B1,I-B2,F-B2,F-B4,F-B5',
      },
    },
  },
  {
    name: 'with abbreviated flush policies and mistakes',
    hash: '#/s/entered-in-between?c=iXu5&at=3.5&p=EcZ1ObI4Klo&vs=EaCnQ1Kn&y=ZcpOab',
    opens: {
      kind: 'catalogue',
      id: 'entered-in-between',
      settings: {
        era: '2007c',
        'flush-size': 'one-page',
        'flush-when': 'before',
        asids: '4',
        break: 'B-B1,B-B4',
      },
      versus: { era: '2007a', cpu: 'vmx-novpid', 'cr3-cache': 'on', break: 'none' },
      varied: [
        { name: 'flush-size', values: ['context', 'page'] },
        { name: 'flush-when', values: ['after', 'before'] },
      ],
    },
  },
  {
    name: 'a bare machine that flushes with the wrong instruction, abbreviated',
    hash: '#/s/wrong-instruction?c=iXu5&p=MtCvKm',
    opens: {
      kind: 'catalogue',
      id: 'wrong-instruction',
      settings: { machine: 'two-stage', cpu: 'vmx-vpid', break: 'B-B3' },
    },
  },
  {
    name: 'a bug that the reference does not name, alone and made on purpose, abbreviated',
    hash: '#/s/read-too-early?c=4NxA&at=0.0&p=KrBnCv&vs=Br',
    opens: {
      kind: 'catalogue',
      id: 'read-too-early',
      check: '4NxA',
      at: { operation: '0', step: 0 },
      settings: { break: 'walk-race', 'shipped-bugs': 'none', cpu: 'vmx-vpid' },
      versus: { 'shipped-bugs': 'walk-race' },
    },
  },
  {
    name: 'a bare machine, with its settings',
    hash: '#/s/why-24?c=iXu5&at=3.5&cpu=arm64&host=3-level&psc=both&tlb=8&host-pages=2M',
    opens: {
      kind: 'catalogue',
      id: 'why-24',
      settings: { cpu: 'arm64', host: '3-level', psc: 'both', tlb: '8', 'host-pages': '2M' },
    },
  },
  {
    name: 'a bare machine, with abbreviated settings',
    hash: '#/s/refused-on-the-way?c=iXu5&at=3.5&p=MtCnG4H5SgTqPkA0&vs=Mn',
    opens: {
      kind: 'catalogue',
      settings: {
        machine: 'two-stage',
        cpu: 'vmx-novpid',
        guest: '4-level',
        host: '5-level',
        psc: 'guest',
        tlb: '64',
        'host-pages': '4K',
        'ept-ad': 'off',
      },
      versus: { machine: 'native' },
    },
  },
  {
    name: 'every guest of a bare machine, abbreviated',
    hash: '#/s/why-24?at=1.1&p=CvG5H3PmSbTxA1',
    opens: {
      kind: 'catalogue',
      settings: {
        cpu: 'vmx-vpid',
        guest: '5-level',
        host: '3-level',
        'host-pages': '2M',
        psc: 'both',
        tlb: '16',
        'ept-ad': 'on',
      },
    },
  },
  {
    name: 'a text of its own, with an umlaut',
    hash: '#/x/1.011a3BjOMywJzmjOJWrOCe_RMGgwkDBzMS3N6zfyNjAwGBC2BEDhaJypgOr14RxAQA42OwrW?c=abcd&at=1.3',
    opens: {
      kind: 'own',
      text: 'mmuscope 1\ntitle Füchse\nslot 0x0 64M\nlet V = 0x7f3c5a823000\nmap V -> gfn 0x20 rw user\nbegin\nv0 user read V\n',
      at: { operation: '1', step: 3 },
      check: 'abcd',
      settings: {},
    },
  },
  {
    name: 'a text of its own, with settings and a comparison',
    hash: '#/x/1.04aa_DPS2VsYmxlnK-jUJJRlJqqEOb7orEqsaCVqzgnv0TBoMJAwczEd4JBhXmacbJpooWRkYGBwRHDKbmJBQoIQWMDA4PJCtjAxX-3ixVSKzKLS3QYl2YWKxhMMKhIS0tLs7AwAAFDkM5JqAYpFJUzLuRKzyxLzdt1FtXiXY8vY2pfvRZZv6HBtu2o5h0xmAJySVFqSVHl_JCMVMariTmLKxnX_dfTe26scNCQ6ZytocIho5PtVYkFX43gAoYn358JLUhJLEll7L6bmVdckpqYoqTwngsA3UT3fV?c=Zz09&at=1.22&cpu=svm&vs.flush=never',
    opens: {
      kind: 'own',
      text: 'mmuscope 1\ntitle One guest page fault, three VM exits\nmachine kvm-2007 era=2007b cpu=vmx-novpid guest=4-level vcpus=1\npolicy gpte-write=zap flush=on-fault\nslot 0x0 64M\nmap 0x7f3c5a822000 -> gfn 0x21 rw user accessed dirty\nmap 0x7f3c5a823000 -> absent                       # the tables exist, the entry is 0\nmap 0xffff880000013000 -> table-of 0x7f3c5a823000 rw kernel\ngiven\n  v0 user read 0x7f3c5a822000\n  v0 kernel read 0xffff880000013000\nbegin\nv0 user write 0x7f3c5a823010\n  on #PF\n    set-pte 0x7f3c5a823000 -> gfn 0x20 rw user accessed dirty\n    retry\nnote "The table is already shadowed, so ..."\nexpect exits=3 injected=1 emulated=1 pf_fixed=2 when gpte-write=zap\nexpect exits=2 injected=1 emulated=1 pf_fixed=1 when gpte-write=update\ntry "Update the shadow entry instead" gpte-write=update\n',
      at: { operation: '1', step: 22 },
      check: 'Zz09',
      settings: { cpu: 'svm' },
      versus: { flush: 'never' },
    },
  },
];
