// A value as JSON has it: where Grafana's types say an enum, JSON has the enum's value.
export type Plain<T> = T extends string
  ? `${T}`
  : T extends number
    ? `${T}` extends `${infer N extends number}` ? N : never
    : T extends object
      ? { [K in keyof T]: Plain<T[K]> }
      : T;
