// Generated from syntax.grammar by `npm run gen`. Do not edit.
import {LRParser} from "@lezer/lr"
import {specializeNumber} from "./number-token.ts"
const spec_Atom = {__proto__:null,mmuscope:36, title:36, about:36, minutes:36, machine:36, policy:36, choice:36, let:36, slot:36, space:36, map:36, entry:36, given:36, begin:36, on:36, note:36, expect:36, try:36, when:36, at:36, in:36, host:36, generation:36, read:38, write:38, exec:38, "set-pte":38, invlpg:38, "load-cr3":38, set:38, cpuid:38, smi:38, rsm:38, flip:38, retry:38, skip:38, invpcid:38, tlbi:38, "load-ttbr0":38, log:38, "fetch-log":38, "set-entry":38, "clear-log":38, "add-slot":38, "delete-slot":38, unmap:38, "swap-out":38, "write-protect":38, "make-writable":38, collapse:38, invept:38, invvpid:38, invlpga:38, "tlb-control":38, rw:40, ro:40, user:40, kernel:40, accessed:40, dirty:40, nx:40, global:40, key:40, keep:40, fresh:40, "->":42}
export const parser = LRParser.deserialize({
  version: 14,
  states: "#SQVQPOOOOQO'#C`'#C`OOQO'#Cb'#CbOOQO'#Cc'#CcOOQO'#Cd'#CdOOQO'#Cm'#CmOOQO'#Ci'#CiO!cQPO'#C_OOQO'#C_'#C_OOQO'#Ch'#ChQ!pQPO'#ChQVQPOOOOQO-E6g-E6gOOQO,58y,58yOOQO,59S,59SOOQO-E6f-E6f",
  stateData: "!y~O`OS~OPTOTTOXTOYTOZWObPOcQOdROeSOfXO~OPTOTTOXTOYTObPOcQOdROeSO~OZ]O^RXfRX~PwOf^O~OZYT~",
  goto: "!ObPPPcgPgggPPPlrPPPyTYOZVTOVZQZOR_ZSVOZR[VVUOVZ",
  nodeNames: "⚠ Number Scenario Line Keyword Atom Operation Flag Arrow Equals Text Comment",
  maxTerm: 22,
  skippedNodes: [0],
  repeatNodeCount: 2,
  tokenData: "%_~R_OX!QXY!uYZ#TZ]!Q]^!u^p!Qpq!uqr!Qrs#Yst#|t!_!Q!_!`%Y!`;'S!Q;'S;=`!o<%lO!Q~!VWT~OX!QZ]!Q^p!Qqr!Qs!_!Q!`;'S!Q;'S;=`!o<%lO!Q~!rP;=`<%l!Q~!zR`~XY!u]^!upq!u~#YOf~~#_UY~OY#YZr#Yrs#qs;'S#Y;'S;=`#v<%lO#Y~#vOY~~#yP;=`<%l#Y~$RYT~OX!QXY$qZ]!Q^p!Qpq$qqr!Qs!_!Q!`;'S!Q;'S;=`!o<%lO!Q~$vSZ~OY$qZ;'S$q;'S;=`%S<%lO$q~%VP;=`<%l$q~%_OX~",
  tokenizers: [0],
  topRules: {"Scenario":[0,2]},
  specialized: [{term: 5, get: (value: any, stack: any) => (specializeNumber(value, stack) << 1), external: specializeNumber},{term: 5, get: (value: keyof typeof spec_Atom) => spec_Atom[value] || -1}],
  tokenPrec: 83
})

export const
  Number = 1,
  Scenario = 2,
  Line = 3,
  Keyword = 4,
  Atom = 5,
  Operation = 6,
  Flag = 7,
  Arrow = 8,
  Equals = 9,
  Text = 10,
  Comment = 11
