"""Small tables of everyday facts, written for the demo, that the generators draw from."""

from __future__ import annotations

# question, right option, three wrong options
COMMON_SENSE: tuple[tuple[str, str, tuple[str, str, str]], ...] = (
    ("Where do you keep milk so that it stays fresh?", "fridge", ("oven", "drawer", "bookshelf")),
    ("What do people wear on their feet?", "shoes", ("gloves", "hats", "scarves")),
    ("What do you use to cut paper?", "scissors", ("a spoon", "a pillow", "a towel")),
    ("What do you open when it rains?", "an umbrella", ("a book", "a bottle", "a fridge")),
    ("Which animal gives us wool?", "sheep", ("hen", "trout", "snake")),
    ("Which animal can fly?", "eagle", ("horse", "frog", "shark")),
    ("What does a baker make?", "bread", ("chairs", "engines", "glasses")),
    ("Where does a fish live?", "in water", ("in a tree", "in the sand", "in the clouds")),
    ("What do you need to see in a dark cellar?", "a lamp", ("a comb", "a plate", "a bell")),
    ("What falls from the sky in winter?", "snow", ("sand", "leaves of paper", "coins")),
    ("What do you use to unlock a door?", "a key", ("a fork", "a sponge", "a candle")),
    ("Who teaches children at school?", "a teacher", ("a butcher", "a pilot", "a sailor")),
    ("What do bees make?", "honey", ("milk", "silk", "butter")),
    ("What is used to sweep the floor?", "a broom", ("a violin", "a knife", "a ladder")),
    ("What do you do when you are tired?", "sleep", ("run a race", "paint a wall", "lift a car")),
    ("Which of these is hot?", "fire", ("ice", "snow", "a frozen pea")),
    ("Where do you go to borrow a book?", "library", ("bakery", "harbour", "stable")),
    ("What do you use to write on paper?", "a pencil", ("a hammer", "a bowl", "a shoe")),
    ("What tells you the time?", "a clock", ("a carpet", "a cup", "a curtain")),
    ("What grows on an apple tree?", "apples", ("potatoes", "carrots", "mushrooms")),
    ("What does a car need in order to move?", "fuel", ("flowers", "songs", "stamps")),
    ("What do you drink from?", "a glass", ("a brick", "a comb", "a rope")),
    ("Which of these is the heaviest?", "a truck", ("a feather", "an egg", "a coin")),
    ("Who puts out fires?", "a firefighter", ("a dentist", "a gardener", "a singer")),
    ("What do you use to brush your teeth?", "a toothbrush", ("a rake", "a mop", "a saw")),
    ("What happens to ice in the sun?", "it melts", ("it burns", "it grows", "it sings")),
    ("Where do planes land?", "at an airport", ("in a kitchen", "on a roof", "in a tunnel")),
    ("What does a cow eat?", "grass", ("stones", "fish", "meat")),
    ("What do you hear with?", "ears", ("eyes", "knees", "elbows")),
    ("Which season is the coldest?", "winter", ("summer", "spring", "autumn")),
    ("What do you put on a letter before posting it?", "a stamp", ("a nail", "jam", "a leaf")),
    ("Where do you sleep at night?", "in a bed", ("in a sink", "on a shelf", "in a pot")),
    ("Who repairs broken pipes?", "a plumber", ("a lawyer", "a poet", "a barber")),
    ("What do you wear when it is cold?", "a coat", ("a swimsuit", "sandals", "sunglasses")),
    ("Which of these is the smallest?", "an ant", ("a dog", "a cow", "a whale")),
    ("What do you use to eat soup?", "a spoon", ("a needle", "a brush", "a pen")),
)

KINDS: dict[str, tuple[str, ...]] = {
    "a fruit": ("pear", "cherry", "plum", "peach", "grape"),
    "a vegetable": ("cabbage", "spinach", "leek", "turnip", "cauliflower"),
    "a mammal": ("wolf", "rabbit", "camel", "otter", "goat"),
    "a bird": ("sparrow", "owl", "pigeon", "swan", "parrot"),
    "a tool": ("hammer", "wrench", "drill", "chisel", "saw"),
    "a piece of furniture": ("sofa", "wardrobe", "armchair", "desk", "bookcase"),
    "a musical instrument": ("flute", "cello", "trumpet", "harp", "drum"),
    "a metal": ("copper", "zinc", "nickel", "aluminium", "lead"),
    "a vehicle": ("bus", "tractor", "scooter", "van", "tram"),
    "a piece of clothing": ("shirt", "skirt", "sweater", "jacket", "sock"),
}

# country, capital, continent
COUNTRIES: tuple[tuple[str, str, str], ...] = (
    ("France", "Paris", "Europe"),
    ("Japan", "Tokyo", "Asia"),
    ("Egypt", "Cairo", "Africa"),
    ("Peru", "Lima", "South America"),
    ("Norway", "Oslo", "Europe"),
    ("Kenya", "Nairobi", "Africa"),
    ("Canada", "Ottawa", "North America"),
    ("Thailand", "Bangkok", "Asia"),
    ("Portugal", "Lisbon", "Europe"),
    ("Cuba", "Havana", "North America"),
    ("Mongolia", "Ulaanbaatar", "Asia"),
    ("Ghana", "Accra", "Africa"),
    ("Hungary", "Budapest", "Europe"),
    ("Chile", "Santiago", "South America"),
    ("Finland", "Helsinki", "Europe"),
    ("Vietnam", "Hanoi", "Asia"),
    ("Ecuador", "Quito", "South America"),
    ("Senegal", "Dakar", "Africa"),
    ("Latvia", "Riga", "Europe"),
    ("Nepal", "Kathmandu", "Asia"),
)

# question, accepted answers
WORLD: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What is the chemical symbol of gold?", ("Au",)),
    ("What is the chemical symbol of iron?", ("Fe",)),
    ("What is the chemical symbol of sodium?", ("Na",)),
    ("What is the chemical symbol of oxygen?", ("O",)),
    ("Which planet is closest to the Sun?", ("Mercury",)),
    ("Which planet is the largest of the solar system?", ("Jupiter",)),
    ("Which planet is known as the red planet?", ("Mars",)),
    ("Who wrote the play Hamlet?", ("Shakespeare", "William Shakespeare")),
    ("Who painted the Mona Lisa?", ("Leonardo da Vinci", "da Vinci", "Leonardo")),
    ("Who developed the theory of general relativity?", ("Albert Einstein", "Einstein")),
    ("Which ocean is the largest?", ("Pacific", "Pacific Ocean", "the Pacific Ocean")),
    ("How many sides does a hexagon have?", ("6", "six")),
    ("How many legs does a spider have?", ("8", "eight")),
    ("How many continents are there on Earth?", ("7", "seven")),
    ("How many strings does a violin have?", ("4", "four")),
    ("Which gas do plants take in from the air?", ("carbon dioxide", "CO2")),
    ("Which organ pumps blood through the body?", ("heart", "the heart")),
    ("Which metal is liquid at room temperature?", ("mercury",)),
    ("Which language has the most speakers in Brazil?", ("Portuguese",)),
    ("What is the currency of Japan?", ("yen", "Japanese yen", "the yen")),
    ("What is the currency of India?", ("rupee", "Indian rupee", "rupees")),
    ("What is the tallest mountain on Earth?", ("Everest", "Mount Everest")),
    ("In which year did the first human walk on the Moon?", ("1969",)),
    ("In which year did World War II end?", ("1945",)),
)

FIRST_NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ivy", "Jack")
LAST_NAMES = ("Miller", "Novak", "Rossi", "Silva", "Tanaka", "Weber", "Young", "Zimmer")
CITIES = ("Oslo", "Lyon", "Porto", "Turin", "Bern", "Ghent", "Malmo", "Graz", "Seville", "Riga")
JOBS = ("nurse", "pilot", "baker", "lawyer", "farmer", "chemist", "tailor", "painter")
COLOURS = ("red", "blue", "green", "black", "white", "yellow")
ITEMS = ("apples", "books", "pens", "stamps", "marbles", "cups", "cards", "shells")
WORDS = (
    "planet", "garden", "window", "silver", "bottle", "market", "bridge", "pencil", "forest",
    "island", "camera", "dragon", "guitar", "hammer", "jungle", "kitten", "lemon", "mirror",
    "needle", "orange", "pepper", "rabbit", "saddle", "tunnel", "violin", "walnut", "yellow",
    "banana", "letter", "coffee", "summer", "apple", "river", "stone", "table", "mouse",
)  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July",
    "August", "September", "October", "November", "December",
)  # fmt: skip
