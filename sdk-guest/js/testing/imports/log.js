import { host } from '../index.js';

export const write = (level, message, fields) => void host.lines.push([level, message, fields]);
