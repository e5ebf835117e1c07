//! English stories. The notation is [`grammar`](super::grammar)'s.

/// Rules by name; `story` is where a story starts.
pub const RULES: &[(&str, &[&str])] = &[
    (
        "story",
        &[
            "{lost}",
            "{tree}",
            "{soup}",
            "{rain}",
            "{journey}",
            "{night}",
            "{seed}",
            "{quarrel}",
            "{bird}",
            "{learn}",
            "{gift}",
            "{snow}",
            "{market}",
            "{letter}",
        ],
    ),
    // --- beginnings
    (
        "opening",
        &[
            "Once upon a time, there was a {kind} {who} named {hero}. {home}",
            "Once upon a time, a {kind} {who} named {hero} lived {where}. ",
            "Once upon a time, {where}, there lived a {kind} {who}. {His} name was {hero}. ",
            "Long ago, a {kind} {who} named {hero} lived {where}. ",
            "There was once a {who} named {hero}. {home}",
            "{hero} was a {kind} {who}. {home}",
        ],
    ),
    (
        "kind",
        &["little", "kind", "brave", "young", "clever", "small"],
    ),
    (
        "where",
        &[
            "in a small village",
            "near the forest",
            "by the sea",
            "on a green hill",
            "by the river",
            "in a little white house",
            "under an old tree",
            "behind the school",
        ],
    ),
    (
        "home",
        &[
            "{He} lived {where}. ",
            "{He} lived {where} with {his} [mother|family|grandmother]. ",
            "{He} liked to [sing|run|read|swim|look at the stars]. ",
            "Every day, {he} went to {to place} to play. ",
            "Everyone [liked|loved] {him}. ",
        ],
    ),
    (
        "day",
        &[
            "One day,",
            "One {sky} [morning|afternoon|evening],",
            "One [spring|summer|autumn] day,",
            "One morning,",
        ],
    ),
    ("sky", &["sunny", "warm", "windy", "quiet", "cool"]),
    // --- people
    (
        "comes",
        &[
            "Then a {who2} named {friend} came by. ",
            "{friend}, a {kind} {who2}, was on the way home. ",
            "Just then, {he} met a {who2} named {friend}. ",
            "{His} friend {friend} heard this and came to help. ",
            "There {he} saw {friend}, {his} best friend. ",
        ],
    ),
    (
        "why",
        &[
            "\"What is wrong, {hero}?\" asked {friend}. ",
            "\"Why are you sad?\" asked {friend}. ",
            "\"Can I help you?\" {friend} asked. ",
            "\"Are you all right?\" asked {friend}. ",
        ],
    ),
    (
        "sad",
        &[
            "{hero} was very sad. ",
            "{hero} sat down and [cried|began to cry]. ",
            "{hero} did not know what to do. ",
            "{hero} felt [sad|tired and sad]. ",
        ],
    ),
    (
        "comfort",
        &[
            "\"Don't worry,\" said {friend}. ",
            "\"Don't be sad,\" {friend} said. ",
            "{friend} smiled. ",
            "{friend} thought for a while. ",
            "",
        ],
    ),
    (
        "thanks",
        &[
            "\"Thank you, {friend}!\" said {hero}. ",
            "\"You are a good friend,\" said {hero}. ",
            "{hero} was so happy that {he} danced. ",
            "{hero} thanked {friend} again and again. ",
        ],
    ),
    // --- endings
    (
        "end",
        &[
            "From that day on, {hero} and {friend} were best friends.",
            "They laughed all the way home.",
            "{hero} and {friend} walked home together.",
            "That night, {hero} slept well.",
            "{hero} never forgot that day.",
            "And they were very happy.",
            "The next day, they met again and played together.",
            "It was a good day.",
            "{hero} told {his} [mother|family|grandmother] all about it.",
            "After that, they helped each other every day.",
        ],
    ),
    // --- plots
    (
        "lost",
        &[
            "{opening}{He} had a {color} {toy}[ and loved it very much|, a gift from {his} grandmother|]. \
         {day} the {toy} was gone. {hero} looked {hidden}, but it was not there. \
         [{He} looked {hidden}, but it was not there. |]{sad}{comes}{why}\"I cannot find my {toy},\" said {hero}. \
         {comfort}\"Let's look together,\" said {friend}. [They looked and looked. |]\
         At last, {friend} found the {toy} {hidden}. {thanks}{end}",
            "{opening}{day} {hero} found {a toy} {hidden}. It was {color} and very pretty. \
         \"Whose {toy} is this?\" {he} thought. {comes}{friend} looked sad. \
         \"I lost my {color} {toy},\" said {he2}. \"Is this your {toy}?\" asked {hero}. \
         \"Yes! Thank you, {hero}!\" said {friend}. {end}",
        ],
    ),
    (
        "hidden",
        &[
            "under the bed",
            "behind the door",
            "under a big tree",
            "behind a stone",
            "in the tall grass",
            "near the old bridge",
            "in the kitchen",
            "by the gate",
        ],
    ),
    (
        "tree",
        &[
            "{opening}{day} {he} saw a big {fruit} at the top of a tall tree. {hero} was hungry and wanted to eat it. \
         {He} jumped and jumped, but the tree was too tall. {sad}{comes}{why}\
         \"I want that {fruit}, but I cannot reach it,\" said {hero}. {comfort}\
         [\"Stand on my back,\" said {friend}.|\"Let's shake the tree,\" said {friend}.|{friend} went home and came back with a long stick.] \
         Soon the {fruit} [fell down|was in {his} hands]. \
         [They cut it in two and shared it. |{hero} gave half of it to {friend}. ]The {fruit} was very sweet. {end}",
        ],
    ),
    (
        "soup",
        &[
            "{opening}{day} {hero} made a big pot of soup. It smelled [so good|wonderful]. \
         \"This is too much for one,\" {he} thought. {He} opened the door and called {his} friends. \
         A {who2} named {friend} came first, with {a food}. [\"I love soup,\" said {friend}. |]\
         [They sat at the table and ate. |They ate and talked and laughed. ]\
         \"Soup is better with friends,\" said {hero}. {end}",
            "{opening}{day} {he} had only {a food} to eat. On the road {he} met a hungry {who2} named {friend}. \
         \"Please give me [some food|something to eat],\" said {friend}. {hero} cut the {food} in two and gave {him2} half. \
         The next day, {friend} came back with a basket of {food2+}. \"These are for you,\" said {he2}. {thanks}{end}",
        ],
    ),
    (
        "rain",
        &[
            "{opening}{day} {hero} went to {to place}. [The sky was blue. |The birds were singing. |]\
         Then dark clouds came, and it began to rain. {hero} had no umbrella. {He} ran and stood under a tree. {comes}\
         [\"Come under my umbrella,\" said {friend}. |\"Take my hand,\" said {friend}. \"My house is near.\" ]\
         {thanks}When the rain stopped, they saw a rainbow in the sky. \
         [\"Look! How beautiful!\" said {hero}. |It was red, yellow, green and blue. |]{end}",
        ],
    ),
    (
        "journey",
        &[
            "{opening}{He} had never seen the [sea|big city|snow on the mountain]. {day} {he} put {a food} in {his} bag and set out. \
         {He} walked over the hill and through the forest. On the bridge {he} met {friend}, a {kind} {who2}. \
         \"Where are you going?\" asked {friend}. \"I am going far away, to see the world,\" said {hero}. \"Come with me!\" \
         So they went on together. [They sang songs on the way. |At night they slept under the stars. |They were tired, but they did not stop. ]\
         At last they [came to the top of the mountain|saw the wide blue sea|stood at the end of the road]. \
         \"It is so beautiful,\" said {friend}. {end}",
        ],
    ),
    (
        "night",
        &[
            "{opening}One night, {hero} could not sleep. [The room was dark. |The wind was loud. ]\
         {He} was afraid. {He} went to {his} [mother|grandmother]. \
         \"I am afraid of the [dark|night|wind],\" said {hero}. \
         [{His} mother|The old woman] [smiled|took {his} hand] and opened the window. \"Look,\" {said}. \"[The moon is up there. It looks|The stars are up there. They look] after you.\" \
         {hero} looked at the sky for a long time. The [moon|night] was [bright|quiet and beautiful]. \
         {He} was not afraid any more. Soon {he} was asleep.",
        ],
    ),
    ("said", &["she said", "she told {him}"]),
    (
        "seed",
        &[
            "{opening}{day} {hero} found a small seed {hidden}. {He} put it in the ground and gave it water every day. \
         One week went by, but nothing came up. {sad}\
         \"Wait a little longer,\" said {friend}, {his} friend. So {hero} waited. [The sun was warm. |Then it rained. |]\
         One morning, there was a green leaf. [Many days later|In the summer], it was a beautiful {color} flower. \
         \"You were right, {friend},\" said {hero}. \"Good things take time.\" {end}",
        ],
    ),
    (
        "quarrel",
        &[
            "{opening}{hero} and {friend} were friends. {day} they both wanted the {color} {toy}. \
         \"It is mine!\" said {hero}. \"No, it is mine!\" said {friend}. They pulled and pulled, and the {toy} broke. \
         [{hero} went home alone. |They did not speak for three days. |They both cried. ]\
         Then {hero} [thought about it|felt sorry]. \"I am sorry, {friend},\" {he} said. \"I am sorry too,\" said {friend}. \
         [They fixed the {toy} together. |They made a new {toy}. |They went to the market and found another {toy}. ]\
         [\"Now it is ours,\" said {hero}. |]{end}",
        ],
    ),
    (
        "bird",
        &[
            "{opening}{day} {hero} saw a little bird {place}. Its wing was hurt and it could not fly. \
         {hero} took the bird home and gave it food and water. [{He} sang to it every night. |{He} made a warm bed for it in a box. |]\
         After many days, the bird was well. {hero} opened the window, and it flew away. \
         [{hero} was a little sad, but {he} was happy too. |\"Goodbye, little bird,\" said {hero}. ]\
         When spring came, the bird came back and sang at {his} window.",
        ],
    ),
    (
        "learn",
        &[
            "{opening}{He} wanted to learn to {skill}. It was not easy. The first time, {he} [fell down|did it all wrong]. \
         [\"I cannot do it,\" said {hero}.|{hero} wanted to stop.] {comes}\
         \"[Try again|Don't give up|Go slowly],\" said {friend}. \"I will [help you|show you|stay with you].\" \
         So {hero} tried every day. After [a week|a month|ten days], {he} could do it! \
         \"[Look at me|Look, {friend}]!\" said {hero}. {friend} was [proud of {him}|very happy]. {end}",
        ],
    ),
    (
        "skill",
        &[
            "swim",
            "dance",
            "draw",
            "sing",
            "read",
            "ride a horse",
            "fly a kite",
            "make cakes",
        ],
    ),
    (
        "gift",
        &[
            "{opening}It was the birthday of {his} friend {friend}. {hero} had no money. \"What can I give {him2}?\" {he} thought. \
         {He} took some [paper|wood|grass] and worked all day. In the evening, {he} had made a little {color} {toy}. \
         {friend} opened the box. \"[{A toy}|It is {a toy}]! This is the best gift of all,\" said {friend}. \"You made it for me!\" {end}",
        ],
    ),
    (
        "snow",
        &[
            "{opening}One winter morning, everything was white. \"Snow!\" said {hero}, and {he} ran to find {friend}. \
         Together they made a big snowman. {hero} gave it {a toy}, and {friend} gave it {a food}. \
         [They played until it was dark. |Their hands were cold, but they were happy. ]\
         A few days later, the sun came out, and the snowman was gone. [{hero} was sad. |]\
         \"Don't worry,\" said {friend}. \"He will come back next winter.\" {end}",
        ],
    ),
    (
        "market",
        &[
            "{opening}{day} {his} mother said, \"Please go to the market and buy {a food} and {a food2}.\" \
         On the way, {hero} said again and again, \"{A food}, {a food2}.\" Then {he} met {friend}, and they played {place}. \
         At the market, {hero} had forgotten everything. \"What did I come for?\" {he} thought. \
         \"You said {a food} and {a food2},\" said {friend}. {thanks}{end}",
        ],
    ),
    (
        "letter",
        &[
            "{opening}{day} a letter came. It was from {friend}, a {who2} who lived far away. \
         The letter said: \"Dear {hero}, {note} Your friend, {friend}.\" \
         {hero} read it [twice|again and again]. Then {he} wrote back: \"Dear {friend}, {note} Your friend, {hero}.\" \
         [{He} put {a color} flower in the letter. |{He} took the letter to the [village|city]. |]{end2}",
        ],
    ),
    (
        "note",
        &[
            "it is raining here, and I think of you.",
            "I have a new {toy}.",
            "the {fruit+} are sweet this year.",
            "please come and see me in the [spring|summer|autumn|winter].",
            "I can {skill} now.",
            "I miss you.",
        ],
    ),
    (
        "end2",
        &[
            "In the summer, they met at last.",
            "They wrote to each other for many years.",
            "Every letter made {him} happy.",
            "It is good to have a friend.",
        ],
    ),
    // --- something said, to be said again
    (
        "remark",
        &[
            "The {color} {toy} is {place}.",
            "{remark food}",
            "I saw {a animal} {place}.",
            "The {animal} is {feeling}.",
            "We will meet {place} [tomorrow|tonight|in the morning].",
            "Please give the {toy} to my [mother|brother|friend].",
            "There are [two|three|four|five] {animal+} {place}.",
        ],
    ),
    (
        "remark food",
        &[
            "I want {a food} and {a food2}.",
            "The {food} is for my [mother|brother|friend].",
        ],
    ),
    (
        "feeling",
        &["happy", "sad", "tired", "hungry", "asleep", "very clever"],
    ),
];
