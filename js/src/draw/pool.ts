/**
 * The entries of a matrix on the colour table, and the same matrix made coarser, for cells that are
 * smaller than a pixel: of several cells the largest magnitude is kept, with its sign. Pure.
 */

/** The entry of a cell without a score. */
export const MISSING = -1;

/** How far an entry is from zero; less than any other for a missing one. */
export function magnitudeOf(entry: number, signed: boolean): number {
  if (entry < 0) return -1;
  return signed ? Math.abs(2 * entry - 255) : entry;
}

/** Entries of some rows, in their order; the very same ones where that is the order they have. */
export function takeRows(entries: Int16Array, rows: Int32Array, columns: number): Int16Array {
  const first = rows[0] ?? 0;
  if (rows.every((row, at) => row === first + at)) {
    return entries.subarray(first * columns, (first + rows.length) * columns);
  }
  const taken = new Int16Array(rows.length * columns);
  rows.forEach((row, at) => {
    taken.set(entries.subarray(row * columns, (row + 1) * columns), at * columns);
  });
  return taken;
}

/** A matrix of entries, as fine or coarse as it is asked for. */
export interface Pool {
  readonly rows: number;
  readonly columns: number;
  readonly signed: boolean;
  /** The matrix with 2^`down` rows and 2^`across` columns pooled to one; each is made once. */
  level(down: number, across: number): Int16Array;
}

export function createPool(
  entries: Int16Array,
  rows: number,
  columns: number,
  signed: boolean,
): Pool {
  const levels = new Map<number, Int16Array>([[0, entries]]);
  const level = (down: number, across: number): Int16Array => {
    const key = down * 64 + across;
    const known = levels.get(key);
    if (known !== undefined) return known;
    const finer = down > 0 ? level(down - 1, across) : level(0, across - 1);
    const height = coarser(rows, down > 0 ? down - 1 : 0);
    const width = coarser(columns, down > 0 ? across : across - 1);
    const made = halved(finer, height, width, down > 0, signed);
    levels.set(key, made);
    return made;
  };
  return { rows, columns, signed, level };
}

/** How many rows or columns are left of some after pooling. */
export function coarser(count: number, level: number): number {
  return Math.ceil(count / 2 ** level);
}

/** Pools two rows, or else two columns, to one. */
function halved(
  from: Int16Array,
  rows: number,
  columns: number,
  down: boolean,
  signed: boolean,
): Int16Array {
  const width = down ? columns : coarser(columns, 1);
  const height = down ? coarser(rows, 1) : rows;
  const made = new Int16Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = down ? 2 * row * columns + column : row * columns + 2 * column;
      const one = from[at] ?? MISSING;
      const alone = down ? 2 * row + 1 === rows : 2 * column + 1 === columns;
      const other = alone ? MISSING : (from[at + (down ? columns : 1)] ?? MISSING);
      const first = magnitudeOf(one, signed) >= magnitudeOf(other, signed);
      made[row * width + column] = first ? one : other;
    }
  }
  return made;
}

export interface Place {
  readonly row: number;
  readonly column: number;
}

/** The strongest cell of so many rows and columns from one on; of one at least. */
export function strongestIn(
  { rows, columns, signed, level }: Pool,
  first: Place,
  size: Place,
): Place {
  const entries = level(0, 0);
  let best = first;
  let most = Number.NEGATIVE_INFINITY;
  for (let { row } = first; row < Math.min(rows, first.row + Math.max(1, size.row)); row++) {
    let { column } = first;
    for (; column < Math.min(columns, first.column + Math.max(1, size.column)); column++) {
      const found = magnitudeOf(entries[row * columns + column] ?? MISSING, signed);
      if (found > most) {
        most = found;
        best = { row, column };
      }
    }
  }
  return best;
}
