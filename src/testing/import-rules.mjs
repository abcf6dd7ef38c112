// Who may import whom: one allow-list. A storey may always import itself. Tests may import anything.
const STOREYS = {
  'src/core/(machine|assert|bounds|counters|quantities|settings|flush-settings)': [
    'src/core/(machine|assert|bounds|counters|quantities|settings|flush-settings)',
  ],
  'src/core/hardware': [
    'src/core/(machine|hardware|assert|bounds|counters|quantities|settings|flush-settings)',
  ],
  // What an engine offers is said in the words of a scenario's operations, as types only.
  'src/core/engine': ['src/core/(machine|hardware|operations/operation|quantities|settings|flush-settings)'],
  'src/core/kvm': [
    'src/core/(machine|hardware|kvm|engine|operations/operation|assert|bounds|counters|quantities|settings|flush-settings)',
  ],
  'src/core/kvm-shadow': [
    'src/core/(machine|hardware|kvm-shadow|engine|operations/operation|assert|bounds|counters|quantities|settings)',
  ],
  'src/core/bare': [
    'src/core/(machine|hardware|bare|kvm/memslots|kvm/remote-flush|engine|operations/operation|assert|bounds|counters|quantities|settings|flush-settings)',
  ],
  'src/core/audit': [
    'src/core/(machine|hardware|kvm|kvm-shadow|audit|engine|assert|bounds|counters|quantities|settings|flush-settings)',
  ],
  'src/core/operations': ['src/core'],
  'src/conform': ['src/core', 'src/timeline', 'src/conform', 'node_modules/valibot'],
  'src/timeline': ['src/core', 'src/timeline'],
  'src/scenario': ['src/core', 'src/timeline', 'src/scenario', 'node_modules/@lezer'],
  'src/scene': ['src/core', 'src/timeline', 'src/scenario', 'src/scene', 'node_modules/d3-hierarchy'],
  'src/store': ['src/(core|timeline|scenario|scene|conform|store)', 'node_modules/(zustand|valibot)'],
  'src/catalogue/(catalogue|list|recordings)': ['src/catalogue', 'node_modules/@tanstack'],
  'src/catalogue/vite-plugin': ['src/catalogue/entry', '^(node:)?(fs|url|zlib)$', 'node_modules/vite'],
  'src/(ui|main)': [
    'src/(core|timeline|scenario|scene|conform|store|catalogue|ui)',
    'node_modules/(react|react-dom|zustand|@tanstack|d3-|@codemirror|@lezer|uqr)',
  ],
  'src/(cli|bench/main|bench/compare|bench/walks|bench/plain-walk|bench/trace-events)': [
    'src/(core|timeline|scenario|scene|conform|cli|bench)',
    '^(node:)?(fs|url|zlib|path)$',
  ],
  'src/bench/browser': [
    'src/(scenario|bench|testing)',
    'node_modules/@playwright',
    '^(node:)?(fs|url|zlib|path|http)$',
  ],
};

const allowed = Object.entries(STOREYS).map(([from, to]) => ({
  name: `${from} imports only what stands below it`,
  severity: 'error',
  from: { path: `^${from}`, pathNot: '\\.test\\.tsx?$' },
  to: {
    pathNot: to.map((path) => path),
  },
}));

export default {
  forbidden: [
    // The generated parser calls back the words' specialiser, which names a term of the parser.
    {
      name: 'no cycles',
      severity: 'error',
      from: { pathNot: 'number-token|syntax\\.gen' },
      to: { circular: true },
    },
    {
      name: 'nothing imports what cannot be found',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    ...allowed,
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.tsx', '.mjs', '.js'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
    },
  },
};
